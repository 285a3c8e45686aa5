from .engine import Engine, Order, WorkerLost
from .execute import execute
from .here import Here
from .on_ray import OnRay
from .plan import Make, Plan
from .processes import Processes
from .queue import Item, Queue
from .resources import Share, available_cores, share, threads_in_use, use_threads
from .stage import Observer, Progress, Stage, derived_seed

__all__ = [
    "Engine",
    "Here",
    "Item",
    "Make",
    "Observer",
    "OnRay",
    "Order",
    "Plan",
    "Processes",
    "Progress",
    "Queue",
    "Share",
    "Stage",
    "WorkerLost",
    "available_cores",
    "derived_seed",
    "execute",
    "share",
    "threads_in_use",
    "use_threads",
]
