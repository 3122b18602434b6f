"""Opening a model: the only place that knows how nnsight and transformers load one."""

import copy
import ctypes
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import accelerate
import nnsight
import psutil
import torch
import transformers
from nnsight import TransformersModel
from nnsight import _c as nnsight_extension
from transformers import PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from harness.adapter.division import divide, is_divided, planned
from harness.adapter.encoders import is_encoder
from harness.adapter.experts import opened
from harness.adapter.finding import READABLE, VERIFIED, refuse_other_kinds, sites_in, unreadable
from harness.adapter.gguf_files import gguf_problem, put_bos_before
from harness.adapter.special_tokens import PROBE, append_nothing
from harness.models import gguf
from harness.models.architecture import configuration, refuse_code_elsewhere, refuse_quantised
from harness.models.hub import hub_error, pickle_error, remember
from harness.models.specs import LoadOptions, ModelError, ModelSpec

TASK, TASK_OF_ENCODERS = "text-generation", "feature-extraction"  # for nnsight to wrap
DTYPES = ("auto", "float32", "bfloat16", "float16")
# Models with fewer parameters gain nothing from a third thread, and lose from a second one where
# all cores are busy: with 1.4 million parameters, two threads took three times as long as one.
SMALL = 20_000_000
DEFAULT_THREADS = torch.get_num_threads()
# Of glibc's mallopt: an option, its value where freed memory is kept, and else. In this order: from
# how many bytes on a block is of pages of its own, how many such blocks, free bytes that are kept.
MALLOPT = ((-3, 1 << 25, 1 << 25), (-4, 0, 65536), (-1, -1, 1 << 26))

# Otherwise nnsight adds a method `save` to every Python object, and long tracebacks to pytest -v.
nnsight.CONFIG.APP.DEBUG = False
if nnsight_extension.unmount is not None and hasattr(object, "save"):
    nnsight_extension.unmount("save")


def choose_device(options: LoadOptions) -> str:
    """The device to load on.

    Raises:
        ModelError: If a GPU is asked for and there is none.
    """
    asked = options.device
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = asked.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise ModelError(
            f"--device {asked!r} is not a device: expected auto, cpu, cuda, cuda:N or mps."
        )
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            f"--device {asked} was asked for, but torch {torch.__version__} sees no CUDA GPU here: "
            "use --device cpu, or install a CUDA build of torch."
        )
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise ModelError(
            f"--device {asked} was asked for, but the last GPU here is cuda:{last}: use one from "
            f"cuda:0 to cuda:{last}, or --device cpu."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelError("--device mps was asked for, but there is none here: use --device cpu.")
    return asked


def load_tokenizer(spec: ModelSpec, options: LoadOptions) -> PreTrainedTokenizerBase:
    """The model's tokenizer, padding on the left.

    Raises:
        ModelError: If there is none, if it has neither a padding nor an end-of-text token, or if it
            puts a token after every text and cannot be told not to, or if it needs code that may
            change.
    """
    if options.trust_remote_code:
        refuse_code_elsewhere(spec)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            spec.path, trust_remote_code=options.trust_remote_code, **_source(spec)
        )
        probed = tokenizer(PROBE).input_ids  # some settings are wrong only once they are used
    except Exception as error:
        raise explain(error, spec, options, part="tokenizer") from error
    if spec.gguf_file is not None:
        put_bos_before(tokenizer, gguf.bos_token(spec.gguf_file))
    if not probed:
        # Without tokenizer files transformers makes a tokenizer without a vocabulary.
        raise ModelError(
            f"the tokenizer of {spec.name} turns text into nothing: its files (tokenizer.json) are "
            "missing or empty; copy or download them again."
        )
    if is_decoder(spec):
        append_nothing(tokenizer, spec.name)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"the tokenizer of {spec.name} has neither a padding nor an end-of-text token: "
                "set one of them in its tokenizer_config.json."
            )
        tokenizer.pad_token = tokenizer.eos_token  # which token does not matter: it is masked
    if options.chat_template and not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            f"the tokenizer of {spec.name} has no chat template: leave out --chat-template."
        )
    tokenizer.padding_side = "left"
    return tokenizer


def is_decoder(spec: ModelSpec) -> bool:
    """Whether the model is a decoder, as far as its configuration can be read."""
    if spec.gguf_file is not None:
        return True
    try:
        stated = configuration(spec)
        config = transformers.AutoConfig.for_model(**stated)
    except Exception:  # a configuration that is wrong is refused when the model is loaded
        return True
    return not config.is_encoder_decoder and not is_encoder(config)


def _source(spec: ModelSpec) -> dict[str, str | None]:
    """Which files `from_pretrained` reads."""
    return {"gguf_file": spec.gguf} if spec.gguf else {"revision": spec.fixed}


def load_engine(
    spec: ModelSpec, options: LoadOptions, tokenizer: PreTrainedTokenizerBase
) -> TransformersModel:
    """The model inside nnsight, weights loaded, eager attention, gradients off.

    Raises:
        ModelError: If it cannot be loaded; the message is one sentence with the remedy.
    """
    if options.dtype not in DTYPES:
        raise ModelError(f"--dtype {options.dtype!r} is not known: expected {', '.join(DTYPES)}.")
    device = choose_device(options)
    on_cpu = device == "cpu" or options.tensor_parallel
    quiet()
    try:
        config = transformers.AutoConfig.from_pretrained(
            spec.path, trust_remote_code=options.trust_remote_code, **_source(spec)
        )
        if spec.gguf is None and not hasattr(config, "auto_map"):  # code of its own is not run here
            refuse_unreadable(config.model_type, config.to_dict())
        if spec.gguf is None:
            refuse_quantised(config.to_dict(), spec.name)
        if options.tensor_parallel:
            _refuse_undividable(spec, config)
        how = {
            **_source(spec),
            "attn_implementation": "eager",
            "dtype": options.dtype,
            "use_safetensors": None if spec.gguf else True,
            "trust_remote_code": options.trust_remote_code,
            "device_map": options.device_map or (None if on_cpu else {"": device}),
        }
        how |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        if is_encoder(config):
            module = _encoder(spec, how)
        else:
            module, report = language_model(config).from_pretrained(spec.path, **how)
            _refuse_incomplete(spec, report)
        if spec.gguf:
            del module.config.quantization_config  # weights are plain now, those of a twin too
        if options.tensor_parallel:
            module = divide(module)
        engine = _engine(module, tokenizer)
    except Exception as error:
        raise explain(error, spec, options, part="model") from error
    remember(spec)
    size = engine._module.num_parameters()
    if device == "cpu":
        _keep_freed_memory(size < SMALL)
    if device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(_threads(size))
    return engine


def _keep_freed_memory(keep: bool) -> None:
    """Whether the memory that tensors free stays with the process, for the next tensors.

    New pages from the system cost a small model 3 % of its time. A large model's tensors are as
    large as memory: it gets what glibc comes to by itself. Other C libraries are not told.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for option, kept, given_back in MALLOPT:
            library.mallopt(option, kept if keep else given_back)


def _refuse_undividable(spec: ModelSpec, config: transformers.PretrainedConfig) -> None:
    """Refuse what cannot be divided over processes, before weights are read."""
    if config.model_type not in VERIFIED:
        raise ModelError(
            f"the architecture {config.model_type!r} of {spec.name} is known to no test, and a "
            "trial of it needs whole weights: leave out --tensor-parallel."
        )
    with torch.device("meta"):
        planned(language_model(config).from_config(config))


def refuse_unreadable(kind: str, config: Mapping[str, Any]) -> None:
    """Refuse a model whose parts cannot be found; no weights are made or read.

    Args:
        kind: Its architecture.
        config: The content of its config.json.

    Raises:
        ModelError: If transformers has no language model of this kind, or a part is not found.
    """
    if kind in VERIFIED:
        return
    if kind not in CONFIG_MAPPING_NAMES:
        raise _not_known(f"the architecture {kind!r}")
    try:
        stated = transformers.AutoConfig.for_model(**{**config, "model_type": kind})
        refuse_other_kinds(stated)
        sites_in(_without_weights(stated))
    except ModelError:
        raise
    except Exception as error:  # no class that writes text, or a configuration that makes none
        text = " ".join(str(error).split())[:200]
        raise unreadable(kind, f"no language model can be made of it ({text})") from error


def _not_known(what: str) -> ModelError:
    return ModelError(
        f"{what} is not known to transformers {transformers.__version__}: {READABLE}."
    )


def _without_weights(config: transformers.PretrainedConfig) -> transformers.PreTrainedModel:
    with torch.device("meta"):
        module = language_model(config).from_config(config)
    return opened(module)


def counted_parameters(spec: ModelSpec) -> int:
    """Parameters of a model with this configuration, tied ones counted once; nothing is loaded.

    Raises:
        ModelError: If the architecture is not known.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(spec.path, **_source(spec))
        module = _without_weights(config)
    except Exception as error:
        raise explain(error, spec, LoadOptions(), part="configuration") from error
    return int(module.num_parameters())


def language_model(config: transformers.PretrainedConfig) -> Any:
    """The class that makes the model that answers: by a masked token, a decoder, or both stacks."""
    if config.is_encoder_decoder:
        return transformers.AutoModelForSeq2SeqLM
    masked = is_encoder(config)
    return transformers.AutoModelForMaskedLM if masked else transformers.AutoModelForCausalLM


def _encoder(spec: ModelSpec, how: Mapping[str, Any]) -> transformers.PreTrainedModel:
    """An encoder; one without the head that fills masks has `lacks`, a weight of that head.

    Such encoders make embeddings of sentences. Features of their layers can be read.
    """
    kind = transformers.AutoModelForMaskedLM
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # what is missing is said below
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of a head that nothing is asked of
            module, report = kind.from_pretrained(spec.path, **how)
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
    own = f"{module.base_model_prefix}."
    head = sorted(name for name in report["missing_keys"] if not name.startswith(own))
    module.lacks = head[0] if head else ""
    _refuse_incomplete(spec, {**report, "missing_keys": set(report["missing_keys"]) - set(head)})
    return module


def _refuse_incomplete(spec: ModelSpec, report: Mapping[str, Any]) -> None:
    """Raise if weights are missing: transformers would draw them at random."""
    if report["mismatched_keys"]:
        name, there, needed = min(report["mismatched_keys"])
        raise ModelError(
            f"the weights of {spec.name} do not fit its config.json: {name} has the shape "
            f"{tuple(there)}, expected {tuple(needed)}; copy or download both again."
        )
    absent = sorted(report["missing_keys"])
    if absent:
        raise ModelError(
            f"the weights of {spec.name} are incomplete: {absent[0]} is not among them "
            f"({len(absent)} missing); copy or download them again."
        )


def _threads(parameters: int) -> int:
    """Number of threads for a model on a CPU shared with other workers and programs."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = max(1, DEFAULT_THREADS // workers)
    if share == 1 or parameters >= SMALL:
        return share
    busy = psutil.cpu_percent(interval=0.2) / 100
    idle = (os.cpu_count() or 1) * (1 - busy)
    return min(2, share) if idle > 1.5 else 1


def fresh_engine(
    engine: TransformersModel,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    dtype: torch.dtype,
    device: str,
) -> TransformersModel:
    """The same architecture with newly drawn weights; the global random state is untouched."""
    config = copy.deepcopy(engine._module.config)
    device_map = getattr(engine._module, "hf_device_map", None) or {}
    spread, divided = len(set(device_map.values())) > 1, is_divided(engine._module)
    placement = torch.device("cpu" if spread or divided else device)
    gpus = [placement.index or 0] if placement.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus), placement:
        torch.manual_seed(seed)
        module = language_model(config).from_config(
            config, attn_implementation="eager", dtype=dtype
        )
    if spread:
        module = accelerate.dispatch_model(module, device_map)
    return _engine(divide(module) if divided else module, tokenizer)


def _engine(
    module: transformers.PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> TransformersModel:
    """Nnsight's view of the model, its parts in the open."""
    config = module.config
    writes = not config.is_encoder_decoder and not is_encoder(config)
    task = TASK if writes else TASK_OF_ENCODERS
    with warnings.catch_warnings():  # BERT's modules named `output` are reached by another name
        warnings.filterwarnings("ignore", "Module .* has a submodule named 'output'")
        return TransformersModel(_prepared(module), task=task, tokenizer=tokenizer)


def _prepared(module: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """The model with its parts in the open, without training and gradients.

    The unembedding is given a contiguous input: in bfloat16 on a CPU torch otherwise copies its
    weights for every prompt: 35 GB for 32 prompts of a 7B model.
    """
    module.eval().requires_grad_(False)
    module = opened(module).eval()
    head = module.get_output_embeddings()
    if head is not None:
        head.register_forward_pre_hook(lambda _, given: (given[0].contiguous(), *given[1:]))
    return module


def quiet() -> None:
    """Switch off progress bars of transformers and the hub if stderr is not a terminal."""
    if not os.isatty(2):
        transformers.utils.logging.disable_progress_bar()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU or the host ran out of memory."""
    text = str(error).lower()
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "not enough memory" in text or "can't allocate" in text)
    )


def explain(error: Exception, spec: ModelSpec, options: LoadOptions, part: str) -> ModelError:
    """An error while loading as a ModelError: one sentence with the remedy."""
    return error if isinstance(error, ModelError) else _explained(error, spec, options, part)


def _explained(error: Exception, spec: ModelSpec, options: LoadOptions, part: str) -> ModelError:
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        return ModelError(
            f"{spec.name} does not fit into the memory of {options.device_map or options.device}: "
            "try --dtype bfloat16, --device-map auto, or a smaller model."
        )
    if spec.gguf and (problem := gguf_problem(spec, text)) is not None:
        return problem
    if "trust_remote_code" in text:
        return ModelError(
            f"{spec.name} needs Python code from its own folder: read it, then pass "
            "--trust-remote-code."
        )
    if "does not recognize this architecture" in text or "Unrecognized model" in text:
        return _not_known(f"the architecture of {spec.name}")
    if not spec.is_local and isinstance(error, OSError):
        return pickle_error(spec) or hub_error(spec, error)
    where = spec.path if spec.is_local else spec.name
    missing = isinstance(error, ImportError)  # a library that this model needs
    remedy = "install what it asks for" if missing else "copy or download it again"
    return ModelError(f"the {part} in {where} cannot be loaded ({text[:300]}): {remedy}.")
