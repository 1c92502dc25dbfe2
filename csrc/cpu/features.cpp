// Asks cpuid and the operating system which instruction sets are usable here.
#include "lpcm/features.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace lpcm {
namespace {

#if defined(__x86_64__)

struct Registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

constexpr bool bit(std::uint32_t word, int index) { return (word >> index) & 1U; }

// XCR0: which register states the operating system saves on a context switch.
std::uint64_t enabled_state() {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

// Linux hands out the 8 KB of tile state only on request, once a process.
bool request_tile_permission() {
#if defined(__linux__)
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) == 0;
#else
  return false;
#endif
}

CpuFeatures detect() {
  CpuFeatures f;
  const Registers vendor = cpuid(0);
  char text[13] = {};
  std::memcpy(text, &vendor.ebx, 4);
  std::memcpy(text + 4, &vendor.edx, 4);
  std::memcpy(text + 8, &vendor.ecx, 4);
  f.vendor = text;

  if (cpuid(0x80000000U).eax >= 0x80000004U) {
    char brand[49] = {};
    for (std::uint32_t part = 0; part < 3; ++part) {
      const Registers r = cpuid(0x80000002U + part);
      std::memcpy(brand + 16 * part, &r, 16);
    }
    f.brand = brand;
    f.brand.erase(0, std::min(f.brand.find_first_not_of(' '), f.brand.size()));
    f.brand.erase(f.brand.find_last_not_of(' ') + 1);
  }

  const Registers basic = cpuid(1);
  const bool osxsave = bit(basic.ecx, 27);
  const std::uint64_t state = osxsave ? enabled_state() : 0;
  const bool ymm = (state & 0x6) == 0x6;
  const bool zmm = ymm && (state & 0xe0) == 0xe0;
  const bool tiles = (state & 0x60000) == 0x60000;

  const Registers extended = cpuid(7);
  const Registers extended1 = cpuid(7, 1);
  f.fma = ymm && bit(basic.ecx, 12);
  f.avx2 = ymm && bit(extended.ebx, 5);
  f.avx512 = zmm && bit(extended.ebx, 16) && bit(extended.ebx, 30) && bit(extended.ebx, 17) && bit(extended.ebx, 31);
  f.avx512_bf16 = f.avx512 && bit(extended1.eax, 5);
  f.amx_bf16 = tiles && bit(extended.edx, 22) && bit(extended.edx, 24) && request_tile_permission();
  return f;
}

#else

CpuFeatures detect() {
  CpuFeatures f;
#if defined(__aarch64__)
  f.vendor = "aarch64";
#else
  f.vendor = "unknown";
#endif
  return f;
}

#endif

CpuFeatures detect_with_levels() {
  CpuFeatures f = detect();
  f.available = {CpuLevel::generic};
  if (f.avx2 && f.fma) f.available.push_back(CpuLevel::avx2);
  if (f.avx512 && f.fma) f.available.push_back(CpuLevel::avx512);
  if (f.amx_bf16 && f.avx512 && f.avx512_bf16) f.available.push_back(CpuLevel::amx);
  return f;
}

std::string list(const std::vector<CpuLevel>& levels) {
  std::string text;
  for (const CpuLevel level : levels) {
    if (!text.empty()) text += ", ";
    text += name(level);
  }
  return text;
}

}  // namespace

std::string_view name(CpuLevel level) {
  switch (level) {
    case CpuLevel::generic: return "generic";
    case CpuLevel::avx2: return "avx2";
    case CpuLevel::avx512: return "avx512";
    case CpuLevel::amx: return "amx";
  }
  return "unknown";
}

CpuLevel parse_cpu_level(std::string_view text) {
  for (const CpuLevel level : kCpuLevels) {
    if (name(level) == text) return level;
  }
  throw std::invalid_argument("'" + std::string(text) + "' is no CPU level: expected one of " +
                              list({std::begin(kCpuLevels), std::end(kCpuLevels)}));
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect_with_levels();
  return features;
}

CpuLevel active_cpu_level() {
  const CpuFeatures& f = cpu_features();
  const char* wanted = std::getenv("LPCM_CPU_LEVEL");
  if (wanted == nullptr || *wanted == '\0') return f.available.back();
  const CpuLevel level = parse_cpu_level(wanted);
  if (std::find(f.available.begin(), f.available.end(), level) == f.available.end()) {
    throw std::invalid_argument("LPCM_CPU_LEVEL is '" + std::string(wanted) +
                                "', which this processor lacks: available here are " + list(f.available));
  }
  return level;
}

}  // namespace lpcm
