"""Supervised fine-tuning with perception and reasoning weighed against each other.

`python -m percasym.sft CONFIG.json` trains; the config is `percasym.sft.config.SFTConfig`.
"""
