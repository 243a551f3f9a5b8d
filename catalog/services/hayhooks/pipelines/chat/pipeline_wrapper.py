"""A question put to a model of this platform, as a pipeline of Haystack."""

from haystack import Pipeline
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from hayhooks import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        """Nothing to keep: which model answers is known with the question."""

    def run_api(self, question: str, model: str = "default") -> str:
        """Answers a question. `default` is the model that the platform has chosen."""
        return self._ask([ChatMessage.from_user(question)], model)

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> str:
        """Continues a conversation, asked for with the name of this pipeline as the model."""
        return self._ask([ChatMessage.from_openai_dict_format(message) for message in messages], "default")

    def _ask(self, messages: list[ChatMessage], model: str) -> str:
        pipeline = Pipeline()
        pipeline.add_component("llm", OpenAIChatGenerator(model=model))
        result = pipeline.run({"llm": {"messages": messages}})
        return result["llm"]["replies"][0].text
