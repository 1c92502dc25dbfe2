// What this processor can do, and which kernel level that allows.
// Refuses to guess: a level counts as available only when both the processor and the operating system say so.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lpcm {

// Instruction-set levels of the CPU kernels, from the plainest to the fastest.
enum class CpuLevel { generic, avx2, avx512, amx };

inline constexpr CpuLevel kCpuLevels[] = {CpuLevel::generic, CpuLevel::avx2, CpuLevel::avx512, CpuLevel::amx};

std::string_view name(CpuLevel level);

// Throws std::invalid_argument that lists the levels when `text` is none of them.
CpuLevel parse_cpu_level(std::string_view text);

struct CpuFeatures {
  std::string vendor;               // "GenuineIntel", "AuthenticAMD", ...; the architecture's name where there is no cpuid
  std::string brand;                // as the processor gives it; may be empty
  bool fma = false;                 // with AVX2
  bool avx2 = false;
  bool avx512 = false;              // F, BW, DQ and VL together: what the kernels of that level use
  bool avx512_bf16 = false;
  bool amx_bf16 = false;            // tile and bf16, with the kernel's permission to use the tile state
  std::vector<CpuLevel> available;  // ascending; never empty
};

// Read once a process; the AMX permission is asked for at that moment.
const CpuFeatures& cpu_features();

// The level in force: the best available one, or the one that LPCM_CPU_LEVEL names.
// Throws std::invalid_argument when LPCM_CPU_LEVEL names no level or one that this processor lacks.
CpuLevel active_cpu_level();

}  // namespace lpcm
