"""
CrewAI over HTTP. POST /kickoff runs a crew and answers with what it made, when it is done: a request that is held is also what keeps
the service awake. The crew is in the request, or it is the one in `default.json`; `{name}` in its texts is filled in from `inputs`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from crewai import LLM, Agent, Crew, Task
from serve import Refused, Request, serve, text

DEFAULT = json.loads(Path(__file__).with_name("default.json").read_text())


def kickoff(request: Request) -> dict:
    body = request.json()
    crew = create_crew(body.get("crew", DEFAULT), text(body, "model", "default"))
    output = crew.kickoff(inputs=body.get("inputs", {}))
    return {
        "result": output.raw,
        "tasks": [{"agent": task.agent, "output": task.raw} for task in output.tasks_output],
        "usage": output.token_usage.model_dump(),
    }


def create_crew(written: object, model: str) -> Crew:
    if not isinstance(written, Mapping):
        raise Refused("crew must be an object with agents and tasks.")
    llm = LLM(model=model, provider="openai", base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])
    agents = {
        text(agent, "role"): Agent(
            role=text(agent, "role"),
            goal=text(agent, "goal"),
            backstory=text(agent, "backstory", "You do your work well."),
            llm=llm,
            max_iter=5,
        )
        for agent in entries(written, "agents")
    }
    tasks = [
        Task(
            description=text(task, "description"),
            expected_output=text(task, "expected_output", "A short text."),
            agent=agent_of(task, agents),
        )
        for task in entries(written, "tasks")
    ]
    return Crew(agents=list(agents.values()), tasks=tasks)


def agent_of(task: Mapping, agents: Mapping[str, Agent]) -> Agent:
    role = text(task, "agent")
    if role not in agents:
        raise Refused(f"No agent has the role {role}. There are: {', '.join(agents)}.")
    return agents[role]


def entries(written: Mapping, name: str) -> list[Mapping]:
    found = written.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(entry, Mapping) for entry in found):
        raise Refused(f"crew.{name} must be a list of objects, at least one.")
    return found


if __name__ == "__main__":
    serve({"POST /kickoff": kickoff, "GET /inputs": lambda _: {"inputs": ["topic"]}})
