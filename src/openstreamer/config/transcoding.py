"""What a stream may say about encoding, overlays and thumbnails (CONTRACT 3). Zero means "the default"."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from openstreamer.config.base import ZERO_IS_UNSET, ConfigModel, Number, Text, refuse

HwAccel = Literal["none", "nvenc", "vaapi", "qsv", "videotoolbox"]
VideoCodec = Literal["h264", "h265", "mp2v", "av1", "copy"]
AudioCodec = Literal["aac", "mp3", "mp2a", "ac3", "eac3", "opus", "copy"]

_Kbps = Annotated[int, Field(ge=0, le=500_000)]
_Pixels = Annotated[int, Field(ge=0, le=8192)]
_Word = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]

_CODEC_ALIASES = {"avc": "h264", "hevc": "h265"}  # names that the Go server took as well
_SAR = re.compile(r"([1-9]\d{0,4}):([1-9]\d{0,4})", re.ASCII)
_DECIBELS = re.compile(r"-?\d{1,3}(\.\d{1,3})?\s?dB", re.ASCII)
_COLOUR = re.compile(
    r"([A-Za-z]{2,32}|(#|0x)([0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})|#[0-9A-Fa-f]{3})(@[01](\.\d{1,3})?)?"
)
_EXPRESSION = re.compile(r"[A-Za-z0-9_+\-*/(),. ]{1,200}", re.ASCII)
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,199}", re.ASCII)


class TranscoderGlobal(ConfigModel):
    """What holds for the whole ladder."""

    hw: HwAccel = "none"
    deviceid: int = Field(default=0, ge=0, le=63)
    fps: int = Field(default=0, ge=0, le=240)
    gop: int = Field(default=0, ge=0, le=6000)


class Decoder(ConfigModel):
    """Which decoder reads the source; empty lets the server choose."""

    name: _Word = ""


class AudioEncoding(ConfigModel):
    """One audio encoding, shared by all renditions."""

    codec: Annotated[AudioCodec, Field()] = "aac"
    bitrate: Annotated[int, Field(ge=0, le=2000), ZERO_IS_UNSET] = 128
    channels: int = Field(default=0, ge=0, le=8)
    sample_rate: int = Field(default=0, ge=0, le=192_000)
    language: Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")] = ""
    normalize: bool = False
    # "copy" is the contract's name; a pydantic model has a method of that name, hence the alias.
    copy_source: bool = Field(default=False, alias="copy")
    volume: Number | str = 1.0

    @field_validator("volume")
    @classmethod
    def _volume(cls, value: float | str) -> float | str:
        if isinstance(value, str):
            if not _DECIBELS.fullmatch(value):
                raise refuse("must be a factor such as 0.5 or decibels such as -6dB")
        elif not 0 <= value <= 100:
            raise refuse("must be a factor from 0 to 100")
        return value


class VideoProfile(ConfigModel):
    """One rung of the ladder. ``None`` in ``bframes`` and ``refs`` leaves the choice to the encoder."""

    codec: VideoCodec = "h264"
    bitrate: Annotated[_Kbps, ZERO_IS_UNSET] = 2500
    max_bitrate: _Kbps = 0
    width: _Pixels = 0
    height: _Pixels = 0
    framerate: Number = Field(default=0.0, ge=0, le=240)
    keyframe_interval: Number = Field(default=0.0, ge=0, le=60)
    preset: _Word = ""
    profile: _Word = ""
    level: _Word = ""
    bframes: Annotated[int, Field(ge=0, le=16)] | None = None
    refs: Annotated[int, Field(ge=0, le=16)] | None = None
    sar: str = ""
    resize_mode: Literal["pad", "crop", "stretch", "fit"] = "pad"

    @field_validator("codec", mode="before")
    @classmethod
    def _alias(cls, value: Any) -> Any:
        return _CODEC_ALIASES.get(value, value) if isinstance(value, str) else value

    @field_validator("width", "height")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise refuse("must be even: video is coded with halved chroma")
        return value

    @field_validator("sar")
    @classmethod
    def _sar(cls, value: str) -> str:
        if value and not _SAR.fullmatch(value):
            raise refuse("must be a ratio such as 1:1 or 16:11")
        return value


class VideoEncoding(ConfigModel):
    """The video ladder; ``copy`` passes the source's video through."""

    copy_source: bool = Field(default=False, alias="copy")
    interlace: Literal["auto", "tff", "bff", "progressive"] | None = None
    profiles: Annotated[tuple[VideoProfile, ...], Field(strict=False, max_length=16)] = ()


class Transcoder(ConfigModel):
    """Everything about transcoding one stream."""

    global_: TranscoderGlobal = Field(default=TranscoderGlobal(), alias="global")
    decoder: Decoder = Decoder()
    audio: AudioEncoding = AudioEncoding()
    video: VideoEncoding = VideoEncoding()


class Watermark(ConfigModel):
    """A text or image overlay. ``x`` and ``y`` are expressions, used when ``position`` is ``custom``."""

    enabled: bool = False
    type: Literal["text", "image"] = "text"
    text: Annotated[str, Field(max_length=512)] = ""
    filename: str = ""
    position: Literal["top_left", "top_right", "bottom_left", "bottom_right", "center", "custom"] = (
        "bottom_right"
    )
    opacity: Annotated[Number, Field(ge=0, le=1), ZERO_IS_UNSET] = 1.0
    font_size: Annotated[int, Field(ge=0, le=1000), ZERO_IS_UNSET] = 24
    font_file: Text = ""
    font_color: str = "white"
    offset_x: int = Field(default=10, ge=-8192, le=8192)
    offset_y: int = Field(default=10, ge=-8192, le=8192)
    x: str = ""
    y: str = ""
    resize: bool = False

    @field_validator("font_color")
    @classmethod
    def _colour(cls, value: str) -> str:
        if not _COLOUR.fullmatch(value):
            raise refuse("must be a colour name or #RRGGBB, optionally with @opacity")
        return value

    @field_validator("filename")
    @classmethod
    def _file(cls, value: str) -> str:
        if value and not _FILENAME.fullmatch(value):
            raise refuse("must be the name of an uploaded file, without directories")
        return value

    @field_validator("x", "y")
    @classmethod
    def _expression(cls, value: str) -> str:
        if value and not _EXPRESSION.fullmatch(value):
            raise refuse("must be an expression of names, numbers, + - * / and parentheses")
        return value

    @model_validator(mode="after")
    def _complete(self) -> "Watermark":
        # A disabled overlay may be a draft.
        if not self.enabled:
            return self
        if self.type == "text" and not self.text:
            raise refuse("a text overlay needs text")
        if self.type == "image" and not self.filename:
            raise refuse("an image overlay needs a filename")
        if self.position == "custom" and not (self.x or self.y):
            raise refuse("the custom position needs x or y")
        return self


class Thumbnail(ConfigModel):
    """Periodic JPEG pictures of the stream. ``quality``: 1 (best) to 31, as in the Go server."""

    enabled: bool = False
    width: _Pixels = 0
    height: _Pixels = 0
    interval_sec: Annotated[int, Field(ge=0, le=3600), ZERO_IS_UNSET] = 10
    quality: Annotated[int, Field(ge=0, le=31), ZERO_IS_UNSET] = 5
    output_dir: str = ""

    @field_validator("output_dir")
    @classmethod
    def _inside(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/"):
            raise refuse("must be a directory below the stream's own")
        return value
