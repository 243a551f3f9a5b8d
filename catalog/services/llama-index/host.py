"""
LlamaIndex over HTTP: documents are kept as vectors in a folder, questions are answered from those that are nearest.
POST /documents {"id", "text"}, GET /documents, DELETE /documents?id=, POST /query {"question", "model", "top"}.
"""

import os
import threading
from pathlib import Path

from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from serve import Refused, Request, serve, text

DOOR = {"api_base": os.environ["OPENAI_API_BASE"], "api_key": os.environ["OPENAI_API_KEY"]}
FOLDER = Path(os.environ["INDEX_DIR"])
# The index is one structure in memory and one set of files: whoever changes it is alone, and so is whoever reads it.
lock = threading.Lock()


def open_index() -> VectorStoreIndex:
    Settings.embed_model = OpenAILikeEmbedding(model_name=os.environ["EMBEDDING_MODEL"], **DOOR)
    # What a small embedding model reads at once, which is fewer tokens by its own count.
    Settings.node_parser = SentenceSplitter(chunk_size=160, chunk_overlap=20)
    if (FOLDER / "docstore.json").exists():
        return load_index_from_storage(StorageContext.from_defaults(persist_dir=str(FOLDER)))
    return VectorStoreIndex([])


def add(request: Request) -> dict:
    body = request.json()
    document = Document(text=text(body, "text"), id_=text(body, "id"))
    with lock:
        # Twice the same id is one document, as it was last.
        index.delete_ref_doc(document.id_, delete_from_docstore=True)
        index.insert(document)
        index.storage_context.persist(str(FOLDER))
    return {"id": document.id_}


def listed(_: Request) -> dict:
    with lock:
        return {"documents": sorted(index.ref_doc_info)}


def remove(request: Request) -> dict:
    name = text(request.query, "id")
    with lock:
        if name not in index.ref_doc_info:
            raise Refused(f"There is no document {name}.", 404)
        index.delete_ref_doc(name, delete_from_docstore=True)
        index.storage_context.persist(str(FOLDER))
    return {"id": name}


def query(request: Request) -> dict:
    body = request.json()
    question, model, top = text(body, "question"), text(body, "model", "default"), body.get("top", 2)
    if not isinstance(top, int) or not 1 <= top <= 20:
        raise Refused("top must be a number from 1 to 20.")
    with lock:
        nodes = index.as_retriever(similarity_top_k=top).retrieve(question)
    llm = OpenAILike(model=model, is_chat_model=True, context_window=4096, max_tokens=256, **DOOR)
    answer = RetrieverQueryEngine.from_args(_Found(nodes), llm=llm).query(question)
    return {
        "answer": str(answer),
        "sources": [{"id": node.node.ref_doc_id, "score": node.score, "text": node.node.get_content()} for node in nodes],
    }


class _Found(BaseRetriever):
    """What was found already, so that the model answers without the lock."""

    def __init__(self, nodes: list) -> None:
        super().__init__()
        self._nodes = nodes

    def _retrieve(self, _: object) -> list:
        return self._nodes


index = open_index()

if __name__ == "__main__":
    serve(
        {
            "POST /documents": add,
            "GET /documents": listed,
            "DELETE /documents": remove,
            "POST /query": query,
        }
    )
