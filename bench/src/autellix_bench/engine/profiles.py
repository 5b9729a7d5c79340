"""Named engines: the paper's three on A100s, derived from published figures, and this project's tiny model on a CPU.

A GPU's costs are a roofline with stated efficiencies, summed since costs are a straight line and take no maximum: an
iteration reads every weight once (bandwidth), each token computed costs two operations a weight (arithmetic), and each
token attended to is read from the KV cache (bandwidth again).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autellix_bench.engine.costs import Costs
from autellix_bench.engine.settings import EngineSettings

__all__ = ["PROFILES", "Profile"]

_A100_BYTES_PER_S = 2.039e12
_A100_FLOPS = 312e12
_A100_BYTES = 80e9
"""A100 80GB SXM by NVIDIA's data sheet: HBM2e bandwidth, dense bf16 arithmetic, memory."""
_USED_MEMORY = 0.90
"""vLLM's ``gpu_memory_utilization``."""
_ACTIVATION_BYTES = 2e9
"""Of each GPU, for what is neither weights nor cache."""
_PREFILL_EFFICIENCY = 0.6
_HOST_BYTES_PER_S = 25e9
"""PCIe 4.0 x16 in practice, each GPU its own."""
_HOST_BYTES = 4 * 2**30
"""vLLM 0.6's ``swap_space`` of each GPU."""
_BLOCK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Profile:
    """An engine to simulate, and where its figures are from."""

    name: str
    engine: EngineSettings
    source: str


@dataclass(frozen=True, slots=True)
class _Model:
    """A transformer by its published configuration, in 16 bits."""

    parameters: float
    layers: int
    kv_heads: int
    head_dim: int

    @property
    def weight_bytes(self) -> float:
        return 2 * self.parameters

    @property
    def kv_token_bytes(self) -> int:
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim


def _on_a100s(name: str, model: _Model, *, gpus: int, bandwidth_share: float, source: str) -> Profile:
    bytes_per_s = gpus * _A100_BYTES_PER_S * bandwidth_share
    token_s = 2 * model.parameters / (gpus * _A100_FLOPS * _PREFILL_EFFICIENCY)
    kv_bytes = gpus * (_A100_BYTES * _USED_MEMORY - _ACTIVATION_BYTES) - model.weight_bytes
    costs = Costs(
        step_s=model.weight_bytes / bytes_per_s,
        prefill_token_s=token_s,
        decode_s=token_s,
        context_token_s=model.kv_token_bytes / bytes_per_s,
        swap_token_s=model.kv_token_bytes / (gpus * _HOST_BYTES_PER_S),
    )
    block_bytes = model.kv_token_bytes * _BLOCK_TOKENS
    engine = EngineSettings(
        slots=256,
        blocks=int(kv_bytes / block_bytes),
        host_blocks=int(gpus * _HOST_BYTES / block_bytes),
        block_tokens=_BLOCK_TOKENS,
        step_tokens=512,
        costs=costs,
    )
    return Profile(name, engine, f"{source} {_HOW}")


_HOW = (
    "A100 80GB: 2.039 TB/s, 312 TFLOPS bf16 (NVIDIA's data sheet); 60 % of the arithmetic, assumed; 90 % of the "
    "memory as vLLM takes by default, less 2 GB a GPU; swapping over PCIe 4.0 at 25 GB/s a GPU, assumed. 256 calls at "
    "most in the batch, 16 tokens a block and, with chunked prefill, 512 tokens an iteration (vllm#4580) are vLLM's "
    "defaults at 0.6.1; the paper gives none of them."
)

_CPU_TINY = Costs(
    step_s=0.00176446,
    prefill_s=0.00456501,
    prefill_token_s=2.0433e-05,
    decode_s=0.000113429,
    context_token_s=7.48617e-08,
    swap_token_s=0.0,
)

_ALL = (
    _on_a100s(
        "a100-llama-3.1-8b",
        _Model(parameters=8.03e9, layers=32, kv_heads=8, head_dim=128),
        gpus=1,
        bandwidth_share=0.77,
        source="Llama-3.1-8B's configuration (32 layers, 8 KV heads of 128, 8.03 billion parameters). 77 % of the "
        "bandwidth: what vLLM 0.23 reached with one request on an A100 40GB (75 tokens/s; johnmusgrave.com, "
        "vllm-throughput-latency-sweep-on). Check: 1000 requests of 246 prompt and 220 answer tokens on average, all "
        "there at once, are served at 14.7 a second in the simulator; the release of vLLM 0.4.3 (vllm#5046) gives 15.6 "
        "for Llama 7B and lengths about like these on one GPU, which it does not name.",
    ),
    _on_a100s(
        "4xa100-llama-3.1-70b",
        _Model(parameters=70.6e9, layers=80, kv_heads=8, head_dim=128),
        gpus=4,
        bandwidth_share=0.65,
        source="Llama-3.1-70B's configuration (80 layers, 8 KV heads of 128, 70.6 billion parameters), tensor parallel "
        "over NVLink. 65 % of the bandwidth, assumed lower than on one GPU for the all-reduce of every layer. Check: "
        "200 requests of 213 and 218 tokens at once are served at 4.6 a second in the simulator; vllm#12315 has 3.3 "
        "measured, and 5.1 from vLLM's dashboard, for 200 of ShareGPT's on 4 A100 with Llama-3.3-70B.",
    ),
    _on_a100s(
        "8xa100-falcon-180b",
        _Model(parameters=179.5e9, layers=80, kv_heads=8, head_dim=64),
        gpus=8,
        bandwidth_share=0.65,
        source="Falcon-180B's configuration (80 layers, 8 KV heads of 64, 179.5 billion parameters), tensor parallel "
        "over NVLink. 65 % of the bandwidth, assumed lower than on one GPU for the all-reduce of every layer. "
        "The model's own limit of 2048 positions is not kept.",
    ),
    Profile(
        "cpu-tiny",
        EngineSettings(
            slots=16,
            blocks=4096,
            step_tokens=4096,
            costs=_CPU_TINY,
        ),
        "This project's tiny model in vLLM 0.32 on two cores of an AMD EPYC, by `autellix bench calibrate` against an "
        "engine with 16 places and 4096 tokens an iteration: 17 measurements of up to 8 calls and 2048 tokens, 5 times "
        "each; the fitted costs are 6.6 % off in the mean and 11.7 % at worst. A longer prefill takes longer than a "
        "straight line says: 3900 tokens took 141 ms, not 86.",
    ),
)

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in _ALL}
"""By name."""
