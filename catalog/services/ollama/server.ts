// What stands for a model of a server elsewhere knows Ollama too: its variables say which it is.
import '../upstream/server.ts';
