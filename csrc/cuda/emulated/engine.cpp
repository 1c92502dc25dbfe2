// The engine on the emulated machine: api.hpp over ordinary memory.
#include "../loss/engine.hpp"
#include "../loss/plain.hpp"

#include "block.hpp"
#include "schedule.hpp"

namespace lpcm::cuda {
namespace {

Setting setting;

class Launcher {
 public:
  explicit Launcher(void*) {}

  void clear(void* memory, std::size_t bytes) { std::memset(memory, 0, bytes); }

  template <class Operation>
  void operator()(const Operation& operation, std::int64_t threads) {
    if (threads == 0) return;
    const std::int64_t most = std::is_same_v<Operation, ScalarParts> ? kScalarBlocks : setting.blocks;
    on_blocks(smaller(tiles_of(threads, kThreads), most), 0, [&](Emulated& m) { run(m, operation); });
  }

  void sums(Arithmetic a, const SumPass& p) {
    with(a, p, [&](auto config, Emulated& m, const SumPass& pass) {
      using C = decltype(config);
      if (pass.sum == Sum::window) {
        sum_pass<C, Heat::hot>(m, pass);
      } else {
        sum_pass<C, Heat::cold>(m, pass);
      }
    });
  }
  void weigh(Arithmetic a, const WeighPass& p) {
    with(a, p, [&](auto config, Emulated& m, const WeighPass& pass) { weigh_pass<decltype(config)>(m, pass); });
  }

 private:
  template <class Pass, class Body>
  void with(Arithmetic a, Pass pass, const Body& body) {
    pass.products.stages = setting.stages;
    with_config(a, [&](auto config) {
      using C = decltype(config);
      const std::int64_t blocks = smaller(tile_count(pass.products.range, C::kColumns), setting.blocks);
      on_blocks(blocks, static_cast<std::size_t>(setting.stages) * C::kStageBytes, [&](Emulated& m) { body(config, m, pass); });
    });
  }

  template <class Body>
  void on_blocks(std::int64_t count, std::size_t stage_bytes, const Body& body) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t index = setting.schedule.order == Order::descending ? count - 1 - i : i;
      Block block(index, count, stage_bytes, setting.schedule);
      block.run(body);
    }
  }
};

}  // namespace

void emulate_as(const Setting& wanted) { setting = wanted; }

#define LPCM_LAUNCHER Launcher
#include "../loss/engine_calls.inc"
#undef LPCM_LAUNCHER

}  // namespace lpcm::cuda
