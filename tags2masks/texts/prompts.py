"""Texts of classes and background as vectors: from a file, or by a text tower of open_clip.

As in CLIP-ES (Lin et al., CVPR 2023): a text in each template is embedded and divided by its
length; of several templates the mean counts, again divided by its length.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from tags2masks.config.texts import Prompts
from tags2masks.data.images import DAMAGE
from tags2masks.errors import UserError
from tags2masks.given import check_given, open_given
from tags2masks.nets.backbones import fill, read_weights


def texts_of(classes: Sequence[str], spec: Prompts) -> list[str]:
    """The text of each class, then those of the background.

    Raises UserError for words of what is no class, and for a background text that is a class's.
    """
    for name in spec.words:
        if name not in classes:
            raise UserError(f"words: '{name}' is no class; choose from {', '.join(classes)}")
    own = [spec.words.get(name, name) for name in classes]
    for text in spec.background:
        if text in own:
            raise UserError(
                f"background: '{text}' is the text of a class; leave it out of the background"
            )
    return [*own, *spec.background]


def embed(
    classes: Sequence[str], spec: Prompts, file: Path | None, weights: Path | None
) -> tuple[list[str], np.ndarray]:
    """The texts and their embeddings, float32 [n, D], each of length 1.

    file: of embeddings, if they are given; weights: of the text tower, if they are from a file.
    Raises UserError as `texts_of`, for files that do not have what is needed, and without
    open_clip where it is needed.
    """
    texts = texts_of(classes, spec)
    if file is not None:
        names = [*classes, *spec.background]
        return texts, _normalized(_from_file(file, texts, names))
    encode = _text_tower(spec, weights)
    return texts, averaged(texts, spec.templates, encode)


def averaged(
    texts: Sequence[str], templates: Sequence[str], encode: Callable[[list[str]], Tensor]
) -> np.ndarray:
    """The normalised mean over the templates of normalised embeddings, float32 [n, D].

    encode: from sentences to [m, D].
    """
    each = [encode([template.format(text) for text in texts]) for template in templates]
    return _normalized(sum(_normalized(found.float().cpu().numpy()) for found in each))


def _normalized(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


def _from_file(file: Path, texts: list[str], names: list[str]) -> np.ndarray:
    """The rows of a file of embeddings; names: what else a text may be called in it."""
    known, vectors = _read(file)
    if vectors.ndim != 2 or len(known) != len(vectors) or not np.isfinite(vectors).all():
        raise UserError(
            f"{file}: embeddings of shape {list(vectors.shape)} for {len(known)} names; save "
            "finite numbers [n, numbers], a row for each name"
        )
    places = {name: place for place, name in enumerate(known)}
    absent = [t for t, name in zip(texts, names, strict=True) if not {t, name} & places.keys()]
    if absent:
        raise UserError(
            f"{file}: has no embedding of '{absent[0]}' ({len(absent)} of {len(texts)} texts are "
            "missing); add them, or leave them out of background"
        )
    rows = [places.get(t, places.get(name)) for t, name in zip(texts, names, strict=True)]
    return vectors[rows].astype(np.float32)


def _read(file: Path) -> tuple[list[str], np.ndarray]:
    """The names and the vectors of a file."""
    try:
        check_given(file)
        if file.suffix == ".safetensors":
            with safe_open(file, framework="np") as held:
                names = json.loads((held.metadata() or {})["names"])
                return [str(name) for name in names], held.get_tensor("embeddings")
        with open_given(file) as opened, np.load(opened, allow_pickle=False) as held:
            return [str(name) for name in held["names"]], np.asarray(held["embeddings"])
    except (*DAMAGE, SafetensorError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file}: not readable as names and embeddings ({error}); save both in one .npz, or "
            "embeddings in a .safetensors with names, a list as JSON, in its metadata"
        ) from None


def _text_tower(spec: Prompts, weights: Path | None) -> Callable[[list[str]], Tensor]:
    """A function from sentences to embeddings [m, D] by open_clip's model."""
    try:
        import open_clip  # an optional extra
    except ImportError as error:
        raise UserError(
            f"texts are embedded by the library open_clip ({error}); pip install "
            "'tags2masks[clip]', or name a file of embeddings as text_file"
        ) from None
    if spec.text_model not in open_clip.list_models():
        raise UserError(
            f"text_model: open_clip has no '{spec.text_model}'; see open_clip.list_models()"
        )
    tag = None if weights else spec.text_weights
    try:
        model = open_clip.create_model(spec.text_model, pretrained=tag)
        tokenize = open_clip.get_tokenizer(spec.text_model)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"text_weights: open_clip gave no {spec.text_model} with '{tag}' ({reason}); give a "
            "file, or embed the texts elsewhere and name their file as text_file"
        ) from None
    if weights:
        model.visual = nn.Identity()  # the file may be without the image tower
        fill(model, read_weights(weights, "check text_weights"), str(weights))
    model.eval()

    @torch.no_grad()
    def encode(sentences: list[str]) -> Tensor:
        return model.encode_text(tokenize(sentences))

    return encode
