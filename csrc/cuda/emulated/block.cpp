// The scheduler of the emulated block, and what its threads do together.
#undef _FORTIFY_SOURCE  // its longjmp takes a jump to another stack for a mistake
#include "fibers.hpp"

#include "block.hpp"

#include <algorithm>
#include <numeric>
#include <random>

namespace lpcm::cuda {

void Block::meet(Meeting& meeting, int size, int kind, const std::function<void()>& act) {
  if (meeting.arrived == 0) meeting.kind = kind;
  if (meeting.kind != kind) throw std::logic_error("threads that should do the same thing together do different things");
  if (++meeting.arrived == size) {
    act();
    meeting.arrived = 0;
    ++meeting.generation;
    moved_ = true;
    return;
  }
  const std::uint64_t generation = meeting.generation;
  while (meeting.generation == generation) Fibers::leave();
  moved_ = true;
}

void Block::run(const std::function<void(Emulated&)>& body) {
  Fibers& fibers = Fibers::of_this_thread();
  const std::function<void(int)> thread = [&](int index) {
    Emulated machine(*this, index);
    body(machine);
  };
  fibers.begin(thread);
  std::vector<int> order(kThreads);
  std::iota(order.begin(), order.end(), 0);
  if (schedule_.order == Order::descending) std::reverse(order.begin(), order.end());
  std::mt19937 shuffled(17);
  for (int left = kThreads; left > 0;) {
    moved_ = false;
    if (schedule_.order == Order::mixed) std::shuffle(order.begin(), order.end(), shuffled);
    for (const int index : order) {
      if (fibers.is_done(index)) continue;
      fibers.resume(index);
      if (fibers.is_done(index)) {
        moved_ = true;
        --left;
      }
    }
    if (!moved_ && left > 0) throw std::logic_error("threads wait for others that have ended or wait elsewhere");
  }
}

bool Emulated::any(bool mine) {
  Block& b = block_;
  b.any_ = b.any_ || mine;
  b.meet(b.block_meeting_, kThreads, 3, [&b] {
    b.any_result_ = b.any_;
    b.any_ = false;
  });
  return b.any_result_;
}

void Emulated::land(const Copy& copy) {
  unsigned char* const to = block_.stages_.data() + copy.to;
  if (copy.to < 0 || copy.to % 16 != 0 || static_cast<std::size_t>(copy.to) + 16 > block_.stages_.size()) {
    throw std::logic_error("a copy lands outside the stages");
  }
  if (copy.inside) {
    if (reinterpret_cast<std::uintptr_t>(copy.from) % 16 != 0) throw std::logic_error("a copy starts at an unaligned address");
    std::memcpy(to, copy.from, 16);
  } else {
    std::memset(to, 0, 16);
  }
}

void Emulated::copy16(int to, const void* from, bool inside) {
  const Copy copy{to, from, inside};
  if (block_.schedule_.copies == Copies::early) land(copy);
  open_.push_back(copy);
}

void Emulated::commit_copies() {
  groups_.push_back(std::move(open_));
  open_.clear();
}

void Emulated::wait_copies(std::size_t pending) {
  while (groups_.size() > pending) {
    if (block_.schedule_.copies == Copies::late) {
      for (const Copy& copy : groups_.front()) land(copy);
    }
    groups_.erase(groups_.begin());
  }
}

// ldmatrix.sync.aligned.m8n8.x4.shared.b16: lanes 8 k .. 8 k + 7 give the rows of matrix k, whose 32-bit words (row r,
// word w) go to register k of lane 4 r + w.
void Emulated::load_matrices(std::uint32_t (&r)[4], int from) {
  Block& b = block_;
  std::memcpy(b.in_[thread_], &from, sizeof(from));
  const int warp = thread_ / 32;
  b.meet(b.warp_meetings_[warp], 32, 4, [&b, warp] {
    for (int lane = 0; lane < 32; ++lane) {
      int at;
      std::memcpy(&at, b.in_[warp * 32 + lane], sizeof(at));
      if (at < 0 || at % 16 != 0 || static_cast<std::size_t>(at) + 16 > b.stages_.size()) throw std::logic_error("ldmatrix outside the stages");
      for (int word = 0; word < 4; ++word) {
        std::memcpy(b.out_[warp * 32 + lane % 8 * 4 + word] + lane / 8 * 4, b.stages_.data() + at + 4 * word, 4);
      }
    }
  });
  std::memcpy(r, b.out_[thread_], 16);
}

void Emulated::meet_all(int kind) { block_.meet(block_.block_meeting_, kThreads, kind, [] {}); }

bool Emulated::early() const { return block_.schedule_.copies == Copies::early; }

void Emulated::wait_products(float (&)[2][16][4]) {
  if (products_) products_();
  products_ = nullptr;
}

// PTX ISA, "Matrix descriptor": start address in units of 16 bytes in bits 0-13, the distance of groups of eight rows in
// bits 32-45, the swizzle in bits 62-63, of which 1 exclusive-ors bits 4-6 of an address with its bits 7-9.
std::uint16_t Emulated::described(std::uint64_t descriptor, int row, int byte) const {
  if (descriptor >> 62 != 1) throw std::logic_error("a descriptor without the 128-byte swizzle");
  const int start = static_cast<int>(descriptor & 0x3fffU) << 4, group = static_cast<int>(descriptor >> 32 & 0x3fffU) << 4;
  const int at = start + row / 8 * group + row % 8 * kRowBytes + byte, place = at ^ ((at >> 7 & 7) << 4);
  if (place < 0 || static_cast<std::size_t>(place) + 2 > block_.stages_.size()) throw std::logic_error("a product reads outside the stages");
  std::uint16_t value;
  std::memcpy(&value, block_.stages_.data() + place, 2);
  return value;
}

void Emulated::store16(void* to, const std::uint32_t (&v)[4]) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0) throw std::logic_error("a store of 16 bytes at an unaligned address");
  std::memcpy(to, v, 16);
}

}  // namespace lpcm::cuda
