"""GRPO with verl (github.com/volcengine/verl) on Ray, with vLLM rollouts: from one CPU to a cluster.

The embedded engine's config, reward and logs, and verl's arithmetic:

    config.py      the config: the embedded engine's, and how the work is laid out
    overrides.py   that config as overrides of verl's own tree
    rows.py        a data set as verl reads it
    reward.py      the function that verl calls for each response
    trainer.py     starts verl, follows it, makes its last checkpoint an ordinary one
    plugins/       what verl and vLLM import in their processes: a CPU platform, a frozen vision tower

verl is started as a child that ends with us. A Ray cluster that exists is used if RAY_ADDRESS names it; it
must then share the file system.
"""
