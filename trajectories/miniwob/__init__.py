"""MiniWoB++ as a suite: third-party pages whose own reward is the checker, and an oracle for nearly all."""
