"""The names of the files and folders of a run, each once."""

# of a run folder
RUN = "run.json"
CONFIG = "config.json"
RESULTS = "results.jsonl"
REAL = "real.png"
WINNING_TICKET = "winning_ticket"
EXPORT = "export"
SAVED_MODEL = "saved_model"  # in EXPORT
FIGURES = "figures"
PAGE = "page.html"
TENSORBOARD = "tensorboard"
JUDGED = "judged"  # evaluations of stages by other features
LOCK = ".lock"

# of a stage's folder
TICKET = "ticket.safetensors"
TRAINED = "trained.safetensors"
REWIND = "rewind.safetensors"
SAMPLES = "samples.png"
RESULT = "result.json"
DONE = "done.json"

# of a folder that compares runs
COMPARE_TABLE = "compare.md"
COMPARE_ROWS = "compare.json"
