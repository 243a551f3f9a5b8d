"""A chat with the models of this platform, or the app.py that lies in the service's data folder."""

import os
import runpy
from pathlib import Path

import streamlit as st
from openai import OpenAI


def chat() -> None:
    client = OpenAI()
    models = [model.id for model in client.models.list()]
    model = st.sidebar.selectbox("Model", models)
    messages = st.session_state.setdefault("messages", [])
    for message in messages:
        st.chat_message(message["role"]).write(message["content"])
    if question := st.chat_input("Ask something"):
        st.chat_message("user").write(question)
        messages.append({"role": "user", "content": question})
        stream = client.chat.completions.create(model=model, messages=messages, stream=True)
        answer = st.chat_message("assistant").write_stream(stream)
        messages.append({"role": "assistant", "content": answer})


own = Path(os.environ["SUTAZ_DATA"], "app.py")
if own.exists():
    runpy.run_path(str(own), run_name="__main__")
else:
    chat()
