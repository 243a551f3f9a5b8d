"""A chat with the models of this platform, or the app.py that lies in the service's data folder."""

import os
import runpy
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
from openai import OpenAI


def serve_chat() -> None:
    client = OpenAI()
    models = [model.id for model in client.models.list()]

    def answer(question: str, history: list[dict], model: str) -> Iterator[str]:
        messages = [{"role": turn["role"], "content": turn["content"]} for turn in history]
        messages.append({"role": "user", "content": question})
        said = ""
        for piece in client.chat.completions.create(model=model, messages=messages, stream=True):
            if piece.choices and piece.choices[0].delta.content:
                said += piece.choices[0].delta.content
                yield said

    model = gr.Dropdown(models, value=models[0] if models else None, label="Model")
    gr.ChatInterface(answer, additional_inputs=[model], title="Chat", api_name="chat").launch()


own = Path(os.environ["SUTAZ_DATA"], "app.py")
if own.exists():
    runpy.run_path(str(own), run_name="__main__")
else:
    serve_chat()
