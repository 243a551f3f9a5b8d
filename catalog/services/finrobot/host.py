"""
FinRobot over HTTP. GET /agents names the agents of its library; POST /chat {"agent", "message", "model", "turns"} has one of them
answer, and answers when it is done. An agent of your own is an object in place of the name: {"name", "profile"}.
"""

import os
from collections.abc import Mapping

from finrobot.agents.agent_library import library
from finrobot.agents.workflow import SingleAssistant
from serve import Refused, Request, serve, text

DOOR = {"base_url": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
MOST_TURNS = 10


def chat(request: Request) -> dict:
    body = request.json()
    agent, message, turns = agent_of(body.get("agent", "Financial_Analyst")), text(body, "message"), body.get("turns", 1)
    if type(turns) is not int or not 1 <= turns <= MOST_TURNS:
        raise Refused(f"turns must be a number from 1 to {MOST_TURNS}.")
    # A price of nothing, since it would look models up in a list of OpenAI's.
    model = {"model": text(body, "model", "default"), "price": [0, 0], **DOOR}
    pair = SingleAssistant(
        agent,
        llm_config={"config_list": [model], "cache_seed": None},
        # What a model writes would be run here, as it stands.
        code_execution_config=False,
    )
    talk = pair.user_proxy.initiate_chat(pair.assistant, message=message, max_turns=turns, silent=True)
    said = [{"role": turn.get("name") or turn["role"], "content": turn["content"]} for turn in talk.chat_history]
    return {"answer": said[-1]["content"], "messages": said}


def agent_of(asked: object) -> str | dict:
    if isinstance(asked, Mapping):
        return {"name": text(asked, "name"), "profile": text(asked, "profile")}
    if asked not in library:
        raise Refused(f"No agent is called {asked}. There are: {', '.join(library)}.")
    return asked


if __name__ == "__main__":
    serve({"POST /chat": chat, "GET /agents": lambda _: {"agents": list(library)}})
