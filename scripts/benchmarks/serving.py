"""Requests per second of `serve` at 1 and 32 clients (p50, p99 in ms), against a bare FastAPI without batches.

    python scripts/benchmarks/serving.py RUN          # --soak 600: memory of a server under load instead

Both serve the model of the same run of the command line, in turns (A B A B …). The bare one has no batches, no limits
and no abstention; `--precision 0` does not spare `serve` the second pass of its encoder, which tells what is in scope.
"""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

CLIENTS = (1, 32)
TEXTS = [f"the {what} of firm {n} rose as the bank cut rates in may" for n in range(50) for what in ("shares", "sales")]


def bare(folder: Path, port: int) -> None:
    """Serve as people begin: the model in a FastAPI function, a text a call."""
    import torch
    import uvicorn
    from fastapi import Body, FastAPI

    from lit_react.cli.labels import result_of
    from lit_react.core.precision import fast_precision
    from lit_react.core.quiet import quiet

    quiet()
    module = result_of(folder).model.fresh()
    module.restore(folder / "model")
    module.configure_model()
    module.eval()
    app, tokenizer = FastAPI(), module.task.tokenizer  # type: ignore[attr-defined]

    @app.get("/health")
    def health() -> str:
        return "ok"

    @app.post("/predict")
    def predict(text: str = Body(embed=True)) -> dict:
        options = {"truncation": True, "max_length": module.task.max_length}  # type: ignore[attr-defined]
        half = fast_precision("cpu") != "32-true"
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            probabilities = module.logits({**tokenizer(text, return_tensors="pt", **options)}).float().softmax(-1)[0]
        shares = dict(zip(module.names, probabilities.tolist(), strict=True))
        return {"text": text, "label": max(shares, key=shares.__getitem__), "probabilities": shares}

    uvicorn.run(app, port=port, log_level="warning", access_log=False)


def started(command: list[str], port: int) -> subprocess.Popen:
    """A server that is ready."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                return process
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("a server ended before it was ready")


async def load(port: int, clients: int, seconds: float) -> tuple[float, np.ndarray]:
    """Requests per second, and the milliseconds of each."""
    spent: list[float] = []
    end = time.monotonic() + seconds

    async def client(number: int) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as session:
            while time.monotonic() < end:
                begun = time.perf_counter()
                text = TEXTS[(number + len(spent)) % len(TEXTS)]
                (await session.post("/predict", json={"text": text})).raise_for_status()
                spent.append(1000 * (time.perf_counter() - begun))

    begun = time.monotonic()
    await asyncio.gather(*map(client, range(clients)))
    return len(spent) / (time.monotonic() - begun), np.asarray(spent)


def memory(session: int) -> float:
    """MiB of the processes of a session; what libraries map is left out, for other programs share it."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if os.getsid(int(status.parent.name)) == session:
                lines = (status.parent / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
        except (OSError, ValueError):
            continue
    return total / 1024


def compare(ports: dict[str, int], seconds: float, turns: int) -> None:
    """Print requests per second, p50 and p99 of each server, and the ratio."""
    for clients in CLIENTS:
        rates: dict[str, list[float]] = {name: [] for name in ports}
        times: dict[str, list[np.ndarray]] = {name: [] for name in ports}
        for _ in range(turns):
            for name, port in ports.items():
                rate, spent = asyncio.run(load(port, clients, seconds))
                rates[name].append(rate)
                times[name].append(spent)
        for name in ports:
            p50, p99 = np.percentile(np.concatenate(times[name]), [50, 99])
            print(
                f"{clients:2} clients  {name:<5} {np.mean(rates[name]):6.1f} requests/s  p50 {p50:6.1f}  p99 {p99:6.1f}"
            )
        ratios = np.divide(rates["serve"], rates["bare"])
        print(
            f"{clients:2} clients  ratio {np.mean(ratios):.2f} (of each turn: {', '.join(f'{r:.2f}' for r in ratios)})"
        )


def soak(port: int, session: int, seconds: float) -> None:
    """Print the memory of all processes of the server, ten times, under 32 clients."""
    for tenth in range(11):
        print(f"{tenth * seconds / 10:5.0f} s  {memory(session):7.1f} MiB", flush=True)
        if tenth < 10:
            asyncio.run(load(port, 32, seconds / 10))


def main() -> None:
    """Start both, measure, stop both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=5, help="of each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0, help="seconds of load during which memory is printed")
    parser.add_argument("--bare", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        return bare(options.run, options.bare)
    ports = {}
    for name in ("serve", "bare"):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports[name] = free.getsockname()[1]
    serving = ["-m", "lit_react", "serve", str(options.run), "--accelerator", "cpu", "--port", str(ports["serve"])]
    servers = [started(serving, ports["serve"])]
    try:
        if options.soak:
            return soak(ports["serve"], servers[0].pid, options.soak)
        servers.append(started([__file__, str(options.run), "--bare", str(ports["bare"])], ports["bare"]))
        compare(ports, options.seconds, options.turns)
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
            server.wait()


if __name__ == "__main__":
    main()
