# SPDX-License-Identifier: Apache-2.0
"""What is measured: command lines, their inputs and their targets."""

import concurrent.futures
import ctypes
import mmap
import os
import shutil
import subprocess
import time

import mixed

MIB = 1 << 20
PARALLEL = ["-W", "-m", "16"]


def convert(*argv):
    return ["convert", *argv]


def both(argv):
    """Stock as it comes, and with all its threads."""
    return [convert(*argv), convert(*PARALLEL, *argv)]


def prepare(bench, size):
    mixed.make_mixed(bench.path("mixed.raw"), size)
    for argv in (["-O", "qcow2", "mixed.raw", "mixed.qcow2"],
                 ["-c", "-O", "qcow2", "mixed.raw", "zlib.qcow2"]):
        bench.run(bench.stock, convert(*PARALLEL, "-f", "raw", *argv), "auto")
    os.sync()


def remove_output(bench):
    if os.path.exists(bench.path("out")):
        os.unlink(bench.path("out"))


def data_ranges(path, piece=MIB):
    """(offset, length) of what is not a hole, in pieces."""
    ranges = []
    with open(path, "rb") as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = min(os.lseek(file.fileno(), at, os.SEEK_HOLE), size)
            while at < end:
                ranges.append((at, min(piece, end - at)))
                at += ranges[-1][1]
    return ranges


def write_back(fd, at, length):
    """Tells the kernel to begin with what will be flushed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sync_file_range(fd, ctypes.c_int64(at), ctypes.c_int64(length), 2)


def floor_copy(bench, source, flush=False, direct=0):
    """Seconds for two threads that read and write the allocated bytes and do nothing else.

    flush: what was written is flushed as well, and what was read is not needed any more.
    direct: os.O_DIRECT to go past the page cache.
    """
    remove_output(bench)
    os.sync()
    ranges = data_ranges(bench.path(source))
    start = time.monotonic()
    source_fd = os.open(bench.path(source), os.O_RDONLY | direct)
    target_fd = os.open(bench.path("out"), os.O_RDWR | os.O_CREAT | direct, 0o600)
    os.ftruncate(target_fd, os.fstat(source_fd).st_size)

    def work(mine):
        buffer = memoryview(mmap.mmap(-1, MIB))  # aligned
        for at, length in mine:
            os.preadv(source_fd, [buffer[:length]], at)
            os.pwritev(target_fd, [buffer[:length]], at)
            if flush:
                write_back(target_fd, at, length)
                os.posix_fadvise(source_fd, at, length, os.POSIX_FADV_DONTNEED)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (ranges[0::2], ranges[1::2])))
    if flush:
        os.fdatasync(target_fd)
    os.close(source_fd)
    os.close(target_fd)
    seconds = time.monotonic() - start
    remove_output(bench)
    return seconds


def run_main(bench, size):
    prepare(bench, size)

    def bare():
        return floor_copy(bench, "mixed.raw")

    bench.measure("info", 0.6, [["info", "mixed.qcow2"]], repeat=20)
    to_qcow2 = ["-f", "raw", "-O", "qcow2", "mixed.raw", "out"]
    bench.measure("convert raw to qcow2", 0.6, both(to_qcow2), convert(*to_qcow2), output="out", floor=bare)
    to_raw = ["-f", "qcow2", "-O", "raw", "mixed.qcow2", "out"]
    bench.measure("convert qcow2 to raw", 0.6, both(to_raw), convert(*to_raw), output="out", floor=bare)
    from_zlib = ["-f", "qcow2", "-O", "raw", "zlib.qcow2", "out"]
    bench.measure("convert zlib qcow2 to raw", 0.4, both(from_zlib), convert(*from_zlib), output="out", floor=bare)
    packed = ["-c", "-f", "raw", "-O", "qcow2", "mixed.raw", "out"]
    bench.measure("convert -c to qcow2", 0.2, both(packed), convert(*packed), output="out", size_target=1.0)
    bench.measure("compare raw, qcow2", 0.5,
                  [["compare", "-f", "raw", "-F", "qcow2", "mixed.raw", "mixed.qcow2"]])
    bench.measure("compare qcow2, zlib qcow2", 0.5, [["compare", "mixed.qcow2", "zlib.qcow2"]])
    bench.measure("info, peak memory", 1.0, [["info", "mixed.qcow2"]], what="peak")
    remove_output(bench)
    # Twice the image, one behind the other: the 4 GiB of which memory must not depend.
    twice = ["-f", "raw", "-O", "qcow2", "mixed.raw", "mixed.raw", "out"]
    bench.measure("convert %d MiB, peak memory" % (2 * size // MIB), 1.0, [convert(*twice)], output="out",
                  what="peak")
    for name, argv in (("-c", packed), ("zlib qcow2 to raw", from_zlib)):
        bench.measure("convert %s, peak memory" % name, 1.0, both(argv)[:1], output="out", what="peak")
    bench.measure("compare, peak memory", 1.0, [["compare", "mixed.qcow2", "zlib.qcow2"]], what="peak")
    remove_output(bench)


# ---- the rest ----


def stock(bench, *argv):
    bench.run(bench.stock, list(argv), "auto")


def copies(bench):
    """The other pairs of formats, with the plain copy as a floor."""
    for source, target in (("raw", "raw"), ("qcow2", "qcow2")):
        argv = ["-f", source, "-O", target, "mixed." + source, "out"]
        bench.measure("convert %s to %s" % (source, target), 0.6, both(argv), convert(*argv), output="out",
                      floor=lambda: floor_copy(bench, "mixed.raw"))
    for source, target in (("raw", "qcow2"), ("qcow2", "raw")):
        argv = ["-t", "none", "-T", "none", "-f", source, "-O", target, "mixed." + source, "out"]
        bench.measure("direct, %s to %s" % (source, target), 0.9, both(argv), convert(*argv), output="out",
                      floor=lambda: floor_copy(bench, "mixed.raw", direct=os.O_DIRECT))
    remove_output(bench)


def zstd(bench):
    packed = ["-c", "-o", "compression_type=zstd", "-f", "raw", "-O", "qcow2", "mixed.raw", "out"]
    bench.measure("convert -c zstd", 0.6, both(packed), convert(*packed), output="out", size_target=1.0)
    remove_output(bench)
    if bench.wants("convert zstd qcow2 to raw"):
        stock(bench, "convert", *PARALLEL, *packed[:-1], "zstd.qcow2")
        argv = ["-f", "qcow2", "-O", "raw", "zstd.qcow2", "out"]
        bench.measure("convert zstd qcow2 to raw", 0.6, both(argv), convert(*argv), output="out",
                      floor=lambda: floor_copy(bench, "mixed.raw"))
        os.unlink(bench.path("zstd.qcow2"))
        remove_output(bench)


def chain(bench, size):
    """Ten overlays, each with a tenth of the data."""
    if not bench.wants("chain of 10 to raw", "chain of 10, peak memory"):
        return
    below, share = None, size // 10 // MIB * MIB
    for layer in range(10):
        name = "layer%d.qcow2" % layer
        backing = ["-b", below, "-F", "qcow2"] if below else []
        stock(bench, "create", "-q", "-f", "qcow2", *backing, name, str(size))
        writes = [word for at in range(0, share, MIB)
                  for word in ("-c", "write -P %d %d %d" % (layer + 1, layer * share + at, MIB // 2))]
        subprocess.run(["qemu-io", "-f", "qcow2", *writes, bench.path(name)], check=True, stdout=subprocess.DEVNULL)
        below = name
    argv = ["-f", "qcow2", "-O", "raw", below, "out"]
    stock(bench, *convert(*argv[:-1], "bare.raw"))
    bench.measure("chain of 10 to raw", 0.5, both(argv), convert(*argv), output="out",
                  floor=lambda: floor_copy(bench, "bare.raw"))
    bench.measure("chain of 10, peak memory", 1.0, [convert(*argv)], output="out", what="peak")
    for layer in range(10):
        os.unlink(bench.path("layer%d.qcow2" % layer))
    os.unlink(bench.path("bare.raw"))
    remove_output(bench)


def sparse(bench):
    """1 TiB with 64 MiB of data, spread."""
    names = ("1 TiB sparse raw to qcow2", "1 TiB sparse qcow2 to raw", "1 TiB sparse qcow2 to qcow2",
             "1 TiB sparse raw to raw")
    if not bench.wants(*names):
        return
    piece = os.urandom(MIB)
    with open(bench.path("sparse.raw"), "wb") as file:
        file.truncate(1 << 40)
        for n in range(64):
            file.seek(n * (1 << 34) + n * 3 * MIB)
            file.write(piece)
    stock(bench, "convert", "-f", "raw", "-O", "qcow2", "sparse.raw", "sparse.qcow2")
    for name, source, target in zip(names, ("raw", "qcow2", "qcow2", "raw"), ("qcow2", "raw", "qcow2", "raw")):
        argv = ["-f", source, "-O", target, "sparse." + source, "out"]
        bench.measure(name, 0.2, both(argv), convert(*argv), output="out",
                      floor=lambda: floor_copy(bench, "sparse.raw"))
    for name in ("sparse.raw", "sparse.qcow2"):
        os.unlink(bench.path(name))
    remove_output(bench)


def start_up(bench):
    stock(bench, "create", "-q", "-f", "qcow2", "small.qcow2", "1G")
    for argv in (["info"], ["map"], ["check"], ["measure", "-O", "qcow2"]):
        bench.measure("start: " + argv[0], 0.6, [[*argv, "small.qcow2"]], repeat=20)


def compares(bench):
    if bench.wants("compare equal raw"):
        shutil.copyfile(bench.path("mixed.raw"), bench.path("twin.raw"))
        bench.measure("compare equal raw", 0.5, [["compare", "-f", "raw", "-F", "raw", "mixed.raw", "twin.raw"]])
        os.unlink(bench.path("twin.raw"))


def in_place(bench, size):
    """Rebase and commit of an overlay with half the image in it."""
    if not bench.wants("commit", "rebase"):
        return
    half = size // 2
    stock(bench, "create", "-q", "-f", "qcow2", "base.qcow2", str(size))
    stock(bench, "create", "-q", "-f", "qcow2", "other.qcow2", str(size))
    stock(bench, "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2")
    for name in ("top.qcow2", "other.qcow2"):
        writes = [word for at in range(0, half, 16 * MIB) for word in ("-c", "write -P 7 %d %d" % (at, 16 * MIB))]
        subprocess.run(["qemu-io", "-f", "qcow2", *writes, bench.path(name)], check=True, stdout=subprocess.DEVNULL)

    def again():
        shutil.copyfile(bench.path("top.qcow2"), bench.path("t.qcow2"))
        shutil.copyfile(bench.path("base.qcow2"), bench.path("b.qcow2"))
        stock(bench, "rebase", "-u", "-f", "qcow2", "-b", "b.qcow2", "-F", "qcow2", "t.qcow2")

    def emptied():
        shutil.copyfile(bench.path("base.qcow2"), bench.path("t.qcow2"))
        stock(bench, "rebase", "-u", "-f", "qcow2", "-b", "other.qcow2", "-F", "qcow2", "t.qcow2")

    def bare():
        """Seconds for what a commit cannot do without: bytes, a flush, and blocks given back."""
        again()
        seconds = floor_copy(bench, "t.qcow2", flush=True)
        start = time.monotonic()
        os.truncate(bench.path("t.qcow2"), 4 * 65536)
        return seconds + time.monotonic() - start

    bench.measure("commit", 0.6, [["commit", "-q", "-f", "qcow2", "t.qcow2"]], reset=again, floor=bare)
    bench.measure("rebase", 0.6, [["rebase", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "t.qcow2"]],
                  reset=emptied)
    for name in ("base", "other", "top", "t", "b"):
        if os.path.exists(bench.path(name + ".qcow2")):
            os.unlink(bench.path(name + ".qcow2"))


def metadata(bench):
    """1 TiB with all its tables: metadata is data, so it must not be walked entry by entry."""
    if not bench.wants("1 TiB tables: map", "1 TiB tables: check", "1 TiB tables: snapshot -c"):
        return
    stock(bench, "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", "tables.qcow2", "1T")
    bench.measure("1 TiB tables: map", 0.2, [["map", "--output=json", "tables.qcow2"]])
    bench.measure("1 TiB tables: check", 0.25, [["check", "tables.qcow2"]])
    os.unlink(bench.path("tables.qcow2"))
    argv = ["create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", "out", "1T"]
    bench.measure("1 TiB tables: create", 0.05, [argv], output="out")
    remove_output(bench)


def run_rest(bench, size):
    copies(bench)
    zstd(bench)
    chain(bench, size)
    sparse(bench)
    start_up(bench)
    compares(bench)
    in_place(bench, size)
    metadata(bench)
