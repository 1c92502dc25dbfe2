// How the emulated machine runs: what must not show in any result.
#pragma once

#include "block.hpp"

namespace lpcm::cuda {

struct Setting {
  Schedule schedule;
  std::int64_t blocks = 3;  // at once, at most
  int stages = 3;           // of the pipeline
};

void emulate_as(const Setting&);  // for the calls that follow, of every thread

}  // namespace lpcm::cuda
