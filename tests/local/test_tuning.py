import pytest

from linework_local.machine import GB, MB, Machine
from linework_local.postgres import tuning


def megabytes(setting: str) -> int:
    return int(setting.strip("'").removesuffix("MB"))


@pytest.mark.parametrize("memory_gb", [0.5, 1, 2, 4, 8, 24, 64, 512])
@pytest.mark.parametrize("cores", [1, 2, 8, 128])
def test_postgres_leaves_room_for_the_services_on_every_machine(memory_gb: float, cores: int) -> None:
    machine = Machine(int(memory_gb * GB), cores, shared_memory=64 * MB)
    settings = tuning(machine)
    shared, maintenance = megabytes(settings["shared_buffers"]), megabytes(settings["maintenance_work_mem"])

    assert 128 <= shared <= 4096
    assert shared + maintenance <= max(machine.memory / MB * 0.4, 192)
    assert megabytes(settings["work_mem"]) <= 64
    assert int(settings["max_parallel_workers_per_gather"]) <= int(settings["max_parallel_workers"]) <= cores
    assert int(settings["max_parallel_maintenance_workers"]) < cores
    assert int(settings["max_worker_processes"]) > int(settings["max_parallel_workers"])


def test_a_larger_machine_gets_larger_buffers_up_to_four_gigabytes() -> None:
    sizes = [megabytes(tuning(Machine(n * GB, 2, 64 * MB))["shared_buffers"]) for n in (1, 2, 4, 8, 16, 32, 64)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (128, 4096)


def test_a_small_shm_does_not_break_parallel_index_builds() -> None:
    assert tuning(Machine(8 * GB, 4, shared_memory=64 * MB))["dynamic_shared_memory_type"] == "mmap"
    assert tuning(Machine(8 * GB, 4, shared_memory=4 * GB))["dynamic_shared_memory_type"] == "posix"


def test_this_machine_has_a_size() -> None:
    machine = Machine.here()
    assert machine.cores >= 1
    assert machine.memory > 100 * MB
