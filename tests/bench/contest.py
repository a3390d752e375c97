# SPDX-License-Identifier: Apache-2.0
"""Runs stock qemu-img and ours by turns, and keeps medians."""

import os
import random
import shutil
import statistics
import subprocess
import sys
import time

MIB = 1 << 20
AGAIN_SECONDS = 5  # a run that takes longer is not made twice


class Contest:
    def __init__(self, args, folder):
        self.ours, self.stock = args.qemu_img, args.stock
        self.rounds, self.only, self.folder = args.rounds, args.only, folder
        self.time = shutil.which("time")
        self.results = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, program, argv, sandbox, peak=False):
        """One run: wall seconds, processor seconds, peak resident KiB if asked for."""
        env = dict(os.environ, INSTAR_SANDBOX=sandbox, LC_ALL="C")
        # This process is large, and a child begins as its copy: only a small parent can tell.
        command = [self.time, "-f", "%M", "-o", self.path("peak")] if peak else []
        start = time.monotonic()
        process = subprocess.Popen(command + [program] + argv, env=env, cwd=self.folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit("%s %s: exit %d: %s" % (program, " ".join(argv), process.returncode,
                                             message.decode(errors="replace")))
        kib = 0
        if peak:
            with open(self.path("peak")) as file:
                kib = int(file.read().split()[-1])
        return wall, usage.ru_utime + usage.ru_stime, kib

    def wants(self, *names):
        """Whether any of these measurements is asked for: spares making its input."""
        return not self.only or any(self.only in name for name in names)

    def measure(self, name, target, stock_argvs, our_argv=None, output=None, repeat=1,
                what="wall", size_target=None, reset=None, floor=None):
        """Runs stock's settings and both kinds of our cell by turns.

        reset: called before each run, to undo what the last one changed. floor: gives the seconds
        that the bare data movement takes; the target is then 1.15 of that where it is more.
        """
        if not self.wants(name):
            return
        our_argv = our_argv or stock_argvs[0]
        runners = [("stock " + " ".join(a for a in argv[1:] if a in ("-W", "-m", "16")),
                    self.stock, argv, "auto") for argv in stock_argvs]
        kinds = ["kvm", "process"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else ["process"]
        runners += [(kind, self.ours, our_argv, kind) for kind in kinds]
        if what == "peak" and not self.time:
            print("%-34s skipped: GNU time is not installed" % name)
            return
        samples = {label: [] for label, *_ in runners}
        cpus = {label: [] for label, *_ in runners}
        sizes = {}
        for turn in range(self.rounds):
            # What one run leaves behind (dirty pages, memory that the machine gave back) is paid by the
            # next: so it is not always the same that comes behind the same, and what writes a file does
            # so twice and counts once, in memory that it has freed itself.
            order = random.Random(turn).sample(runners, len(runners))
            for label, program, argv, sandbox in order:
                wall = cpu = peak = 0
                for _ in range(repeat):
                    sample = self.sample(program, argv, sandbox, what, output, reset)
                    if output and not reset and what == "wall" and sample[0] < AGAIN_SECONDS:
                        sample = self.sample(program, argv, sandbox, what, output, reset)
                    wall, cpu, peak = wall + sample[0], cpu + sample[1], max(peak, sample[2])
                cpus[label].append(cpu)
                samples[label].append(peak if what == "peak" else wall / repeat)
                if output and size_target:
                    sizes[label] = os.stat(self.path(output)).st_size
        medians = {label: statistics.median(values) for label, values in samples.items()}
        fastest = min((label for label in medians if label.startswith("stock")), key=medians.get)
        if floor:
            bare = statistics.median(floor() for _ in range(self.rounds))
            target = max(target, 1.15 * bare / medians[fastest])
        for kind in kinds:
            cpu = statistics.median(cpus[kind]) / max(statistics.median(cpus[fastest]), 1e-6)
            self.add(name, kind, what, medians[fastest], medians[kind], target,
                     cpu if what == "wall" else None)
        if size_target:
            stock_size = min(v for k, v in sizes.items() if k.startswith("stock"))
            self.add(name + ", output", kinds[0], "bytes", stock_size, sizes[kinds[0]],
                     size_target, None)

    def sample(self, program, argv, sandbox, what, output, reset):
        if reset:
            reset()
        if output and os.path.exists(self.path(output)):
            os.unlink(self.path(output))
            os.sync()
        return self.run(program, argv, sandbox, what == "peak")

    def add(self, name, kind, what, stock, ours, target, cpu):
        row = {"name": name, "cell": kind, "what": what, "stock": stock, "ours": ours,
               "ratio": ours / stock, "target": target, "met": ours / stock <= target,
               "cpu_ratio": cpu}
        self.results.append(row)
        scale, form = {"wall": (1e3, "%.1f ms"), "peak": (1 / 1024, "%.1f MiB"),
                       "bytes": (1 / MIB, "%.1f MiB")}[what]
        print("%-34s %-8s %12s %12s  %5.2f  %5s  %s %.2f" %
              (name, kind, form % (stock * scale), form % (ours * scale), row["ratio"],
               "" if cpu is None else "%.2f" % cpu, "<=" if row["met"] else "ABOVE", target),
              flush=True)
