"""
Browser-Use over HTTP. POST /run {"task", "url", "model", "steps", "vision"} has an agent work in a browser of its own, and answers
when it is done: a request that is held is also what keeps the service awake. `url` is where it begins; with `vision` the model is
shown the page as a picture.
"""

import asyncio
import os

from browser_use import Agent, BrowserProfile, ChatOpenAI
from serve import Refused, Request, serve, text

DOOR = {"base_url": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
MOST_STEPS = 50


def run(request: Request) -> dict:
    body = request.json()
    steps, vision = body.get("steps", 20), body.get("vision", False)
    if type(steps) is not int or not 1 <= steps <= MOST_STEPS:
        raise Refused(f"steps must be a number from 1 to {MOST_STEPS}.")
    if not isinstance(vision, bool):
        raise Refused("vision must be true or false.")
    start = [{"navigate": {"url": text(body, "url")}}] if "url" in body else None
    return asyncio.run(worked(text(body, "task"), text(body, "model", "default"), start, steps, vision))


async def worked(task: str, model: str, start: list | None, steps: int, vision: bool) -> dict:
    agent = Agent(
        task,
        # Its schema has min_items for minItems, which the door refuses as any server does that holds a model to a schema.
        llm=ChatOpenAI(model=model, max_retries=1, remove_min_items_from_schema=True, **DOOR),
        initial_actions=start,
        use_vision=vision,
        use_judge=False,
        flash_mode=True,
        max_failures=3,
        # The server has its own, and this is not the main thread.
        enable_signal_handler=False,
        browser_profile=BrowserProfile(
            executable_path=os.environ["CHROMIUM"],
            headless=True,
            # They would be fetched from a shop on the internet.
            enable_default_extensions=False,
        ),
    )
    history = await agent.run(max_steps=steps)
    return {
        "result": history.final_result(),
        "done": history.is_done(),
        "steps": history.number_of_steps(),
        "urls": history.urls(),
        "errors": [error for error in history.errors() if error],
    }


if __name__ == "__main__":
    serve({"POST /run": run})
