"""vLLM's worker on the CPU, as one whose weights can be replaced while it runs.

vLLM for the CPU hands weights over to oneDNN and forgets them, so that a weight sync finds nothing to write
to, and the output head would silently stay at its first value. Without oneDNN it multiplies by the parameter.
"""

import vllm._custom_ops

vllm._custom_ops._supports_onednn = False

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension  # noqa: E402


class CPUWorkerExtension(vLLMColocateWorkerExtension):  # type: ignore[misc]
    """Named in vLLM's `worker_extension_cls`, which makes its workers import this module."""
