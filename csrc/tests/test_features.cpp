// Claims about detection that hold on any processor.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "lpcm/devices.hpp"
#include "lpcm/features.hpp"

namespace {

int failures = 0;

void check(bool holds, const char* claim) {
  std::printf("%s  %s\n", holds ? "ok  " : "FAIL", claim);
  if (!holds) ++failures;
}

template <typename F>
bool refuses(F&& f) {
  try {
    f();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

}  // namespace

int main() {
  unsetenv("LPCM_CPU_LEVEL");
  const lpcm::CpuFeatures& f = lpcm::cpu_features();
  check(!f.vendor.empty(), "the processor has a vendor");
  check(f.available.front() == lpcm::CpuLevel::generic, "the generic level is always available");
  check(lpcm::active_cpu_level() == f.available.back(), "the best available level is in force");
  for (const lpcm::CpuLevel level : lpcm::kCpuLevels) {
    check(lpcm::parse_cpu_level(lpcm::name(level)) == level, "a level's name parses back to it");
  }
  check(refuses([] { lpcm::parse_cpu_level("sse9"); }), "an unknown level is refused");

  setenv("LPCM_CPU_LEVEL", "generic", 1);
  check(lpcm::active_cpu_level() == lpcm::CpuLevel::generic, "LPCM_CPU_LEVEL lowers the level");
  setenv("LPCM_CPU_LEVEL", "fast", 1);
  check(refuses([] { lpcm::active_cpu_level(); }), "LPCM_CPU_LEVEL with an unknown name is refused");
  if (f.available.back() != lpcm::CpuLevel::amx) {
    setenv("LPCM_CPU_LEVEL", "amx", 1);
    check(refuses([] { lpcm::active_cpu_level(); }), "LPCM_CPU_LEVEL with a level that is missing here is refused");
  }

  const lpcm::GpuReport report = lpcm::find_gpus();
  check(report.gpus.empty() != report.why_none.empty(), "either there are GPUs or there is a reason");
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
