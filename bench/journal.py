"""The journal's part of a start, and its size after compaction.  A section of bench.py."""
import os
import statistics
import subprocess
import threading
import time
from pathlib import Path


def journals_of(pid):
    """The journal memfds that this process has open, by inode."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(entry).startswith("/memfd:abide-journal"):
                found[os.stat(entry).st_ino] = entry
        except OSError:
            continue
    return found


def anchors():
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == "abide-anchor":
                found.add(entry.name)
        except OSError:
            continue
    return found


class Watcher(threading.Thread):
    """Holds every image that the journal had, in order: one that was compacted away can still be read through it."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.images, self.over, self.others = folder, {}, False, anchors()
        self.began = {}  # when each was first seen, by inode

    def run(self):
        anchor = None
        while not self.over:
            anchor = anchor or next(iter(anchors() - self.others), None)
            try:
                for inode, entry in (journals_of(anchor) if anchor else {}).items():
                    if inode not in self.images:
                        self.images[inode] = os.open(entry, os.O_RDONLY)
                        self.began[inode] = time.monotonic()
            except OSError:
                pass  # closed meanwhile
            time.sleep(0.005)

    def files(self):
        self.over = True
        self.join()
        names = []
        for number, image in enumerate(self.images.values()):
            names.append(self.folder / f"image{number}")
            names[-1].write_bytes(os.pread(image, os.fstat(image).st_size, 0))
            os.close(image)
        return names


def section_journal(bench, kind, count, rounds):
    bench.heading(f"the journal of a start of {count} services (defaults): every write of it made again and timed")
    bench.row("", "start", "writes", "compactions", "part of the start", "bytes a service")
    parts, sizes = [], []
    for _ in range(rounds):
        subject = bench.subject(kind, count)
        watcher = Watcher(subject.folder)
        watcher.start()
        took_us = subject.start() / 1e3
        ended = time.monotonic()
        time.sleep(0.7)
        images = watcher.files()
        within = sum(began < ended for began in watcher.began.values()) > 1
        subject.stop()
        if not images:
            raise RuntimeError("the journal was not found")
        done = subprocess.run([bench.abide + "-bench-journal", *images], capture_output=True, text=True, timeout=60, check=True)
        writing, compacting, written, compacted = map(int, done.stdout.split())
        parts.append((writing + (compacting if within else 0)) / took_us)
        sizes.append(compacted / count)
        bench.row(f"{len(images)} images, {written >> 10} KiB", f"{took_us / 1000:.1f} ms", f"{writing / 1000:.1f} ms",
                  f"{compacting / 1000:.1f} ms{'' if within else ' later'}", f"{parts[-1] * 100:.1f} %", f"{sizes[-1]:.0f}")
    bench.judge("journal, part of the start", statistics.median(parts), 0.05, "{:.3f}")
    bench.judge("journal, bytes a service, compacted", statistics.median(sizes), 1024, "{:.0f}")
