"""With several ranks the modules give what open_clip's give: the same loss and the same gradients on every rank."""

import subprocess
import sys
import textwrap

SCRIPT = textwrap.dedent("""
    import sys, itertools, torch, open_clip.loss, lpcm, torch.distributed as dist
    rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    g = torch.Generator().manual_seed(rank)
    x, y = (torch.nn.functional.normalize(torch.randn(6, 5, generator=g, dtype=torch.float64)) for _ in range(2))

    def run(loss):
        leaves = [t.clone().requires_grad_() for t in (x, y)]
        s, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (9.0, -4.0))
        value = loss(*leaves, s, b)
        value.backward()
        return [value.detach(), *(t.grad for t in leaves), s.grad]

    cases = [
        (lpcm.ClipLoss, open_clip.loss.ClipLoss, dict(local_loss=l, gather_with_grad=w))
        for l, w in itertools.product([False, True], repeat=2)
    ]
    cases += [(lpcm.SigLipLoss, open_clip.loss.SigLipLoss, dict(dist_impl=i)) for i in ("bidir", "shift", "gather")]
    for ours, theirs, options in cases:
        options |= dict(rank=rank, world_size=world)
        got, want = run(ours(**options)), run(theirs(**options))
        for a, b in zip(got, want):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12, msg=lambda m: f"{ours.__name__} {options}: {m}")
    dist.barrier()
    dist.destroy_process_group()
""")


def test_two_ranks_agree_with_open_clip(tmp_path):
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, str(rank), "2", str(tmp_path / "store")],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in ranks:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
