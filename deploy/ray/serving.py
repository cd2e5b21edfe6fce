"""The server as a Ray Serve application: replicas on a cluster, more of them while many ask.

    SHOPFLOOR_MODEL=models/nano PYTHONPATH=. serve run deploy.ray.serving:shopfloor    # http://127.0.0.1:8000/v1

Each replica is what `shopfloor serve` would be, with settings and keys from its own environment: on a cluster
of several machines set them, and this repository, by Serve's `runtime_env`. One that dies is replaced within
seconds; what it was answering is refused with a 500 or 503, which OpenAI's clients try again by themselves.

Not covered: `--rate`, counts and kept answers across replicas (each has its own), and Serve's own TLS.
"""

from __future__ import annotations

from ray import serve

from apps.serve import application
from apps.serving.limits import Limits

LIMITS = Limits()


@serve.deployment(
    name="shopfloor",
    max_ongoing_requests=LIMITS.in_hand,  # beyond that the replica itself says 503
    autoscaling_config={
        "min_replicas": 2,  # one may die
        "max_replicas": 8,
        "target_ongoing_requests": LIMITS.batch,
    },
    health_check_period_s=2,
    health_check_timeout_s=30,
    graceful_shutdown_timeout_s=LIMITS.seconds,
)
@serve.ingress(application)
class Shopfloor:
    """Nothing beyond the application, which each replica makes for itself."""


shopfloor = Shopfloor.bind()
