"""Texts of classes and of the background, embedded for an image tower: one block."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from tags2masks.config.base import Entry

# CLIP-ES (Lin et al., CVPR 2023), for PASCAL VOC; for COCO without keyboard and sign.
BACKGROUND = (
    "ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea",
    "railway", "railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean", "road",
    "rock", "street", "valley", "bridge", "sign",
)  # fmt: skip
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def _with_place(template: str) -> str:
    if template.count("{}") != 1 or set(template.replace("{}", "")) & set("{}"):
        raise ValueError(f"'{template}' needs one {{}} for the text, and no other braces")
    return template


class PromptFields(Entry):
    """The texts, and what embeds them: a file with their embeddings, or a text tower."""

    words: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        {},
        description="The text of a class, by its name, such as `person: person with "
        "clothes,people,human`; of others it is their name.",
    )
    background: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = (
        Field(
            BACKGROUND,
            description="Texts of what is background. The default is CLIP-ES's list for PASCAL "
            "VOC; leave out what is a class of yours.",
        )
    )
    templates: Annotated[
        tuple[Annotated[str, AfterValidator(_with_place)], ...], Field(min_length=1)
    ] = Field(
        ("a clean origami {}.",),
        description="Sentences around a text; of several the embeddings are averaged.",
    )
    text_file: str | None = Field(
        None,
        description="A file with the embedding of each text (as it is in words and background, or "
        "the class's name): .npz with the arrays `names` [n] and `embeddings` [n, numbers], or "
        ".safetensors with `embeddings` and in its metadata `names`, a list as JSON. null: "
        "`text_model` embeds them. Its name, not its folder, is in the artifact's id.",
    )
    text_model: str = Field(
        "ViT-B-16-quickgelu",
        description="The model whose text tower embeds the texts, by its name in open_clip; that "
        "of the image tower. Needs `pip install 'tags2masks[clip]'`, in this "
        "one job.",
    )
    text_weights: str = Field(
        "openai",
        description="Its weights: a tag of open_clip, from its hub, or a .safetensors or "
        "weights-only .pth file under open_clip's names (its name, not its folder, is in the id).",
    )

    @model_validator(mode="after")
    def _each_once(self):
        if twice := sorted({text for text in self.background if self.background.count(text) > 1}):
            raise ValueError(f"background: '{twice[0]}' is there twice; keep one")
        return self


class Prompts(PromptFields):
    """The embeddings of the texts, as an artifact: made of fields of a `clip` entry."""

    cites: ClassVar[tuple[str, ...]] = ("radford2021clip",)
    memory_mb: ClassVar[int] = 8000

    method: Literal["prompts"] = "prompts"

    @property
    def weights_file(self) -> str | None:
        """The file of the text tower's weights, if they are from a file and embed the texts."""
        from_file = self.text_file is None and self.text_weights.endswith(SUFFIXES)
        return self.text_weights if from_file else None

    def files(self) -> dict[str, str]:
        """The file of embeddings or of weights, for the program."""
        named = {"text_file": self.text_file, "text_weights": self.weights_file}
        return {name: path for name, path in named.items() if path}

    def key(self) -> dict[str, Any]:
        """As for all blocks, with files' names alone, and without what a file stands for."""
        values = super().key()
        for name, path in self.files().items():
            values[name] = path.replace("\\", "/").rsplit("/", 1)[-1]
        if self.text_file:
            for name in ("templates", "text_model", "text_weights"):
                values.pop(name)
        return values


METHODS = {"prompts": Prompts}
