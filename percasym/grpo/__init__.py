"""Group-relative policy optimisation with rewards that see perception and reasoning apart.

`python -m percasym.grpo CONFIG.json` trains; the config is `percasym.grpo.config.GRPOConfig`.
"""
