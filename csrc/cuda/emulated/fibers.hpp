// 128 stacks that one processor thread switches between.
// They are made once and used again for every block. Switching is setjmp and longjmp, which unlike swapcontext do not ask
// the operating system for anything.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <ucontext.h>

#include "../loss/tiles.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace lpcm::cuda {

class Fibers {
 public:
  static Fibers& of_this_thread() {
    static thread_local std::unique_ptr<Fibers> fibers;
    // one whose block failed in the middle has fibers that stand somewhere inside it
    if (fibers == nullptr || !fibers->is_idle()) fibers.reset(new Fibers);
    return *fibers;
  }

  // Each fiber is to call job(its index); `job` must outlive that.
  void begin(const std::function<void(int)>& job) {
    job_ = &job;
    for (Fiber& f : fibers_) f.done = false;
  }

  bool is_done(int index) const { return fibers_[static_cast<std::size_t>(index)].done; }

  // Lets a fiber go on until it leaves or ends. An exception of its job comes out here.
  void resume(int index) {
    Fiber& f = fibers_[static_cast<std::size_t>(index)];
    current_ = index;
    active_ = this;
    start_switch(&scheduler_fake_stack_, f.stack.get(), kStackBytes);
    if (_setjmp(scheduler_) == 0) {
      if (f.started) _longjmp(f.jump, 1);
      f.started = true;
      setcontext(&f.context);
    }
    finish_switch(scheduler_fake_stack_, nullptr, nullptr);
    if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  // Called inside a fiber: back to whoever resumed it.
  static void leave() { active_->leave_current(); }

 private:
  static constexpr std::size_t kStackBytes = 256 * 1024;

  struct Fiber {
    ucontext_t context;
    std::jmp_buf jump;
    std::unique_ptr<char[]> stack;
    void* fake_stack = nullptr;
    bool started = false, done = true;
  };

  Fibers() : fibers_(kThreads) {
    for (Fiber& f : fibers_) {
      f.stack = std::make_unique<char[]>(kStackBytes);
      getcontext(&f.context);
      f.context.uc_stack.ss_sp = f.stack.get();
      f.context.uc_stack.ss_size = kStackBytes;
      f.context.uc_link = nullptr;
      makecontext(&f.context, &Fibers::enter, 0);
    }
  }

  bool is_idle() const {
    for (const Fiber& f : fibers_) {
      if (!f.done) return false;
    }
    return true;
  }

  static void enter() {
    Fibers& self = *active_;
    finish_switch(nullptr, &self.scheduler_stack_, &self.scheduler_stack_bytes_);
    self.loop();
  }

  void loop() {
    for (;;) {
      const int index = current_;
      try {
        (*job_)(index);
      } catch (...) {  // it must not leave its stack
        failure_ = std::current_exception();
      }
      fibers_[static_cast<std::size_t>(index)].done = true;
      leave_current();
    }
  }

  void leave_current() {
    Fiber& f = fibers_[static_cast<std::size_t>(current_)];
    start_switch(&f.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
    if (_setjmp(f.jump) == 0) _longjmp(scheduler_, 1);
    finish_switch(f.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
  }

  // The address sanitizer wants to know which stack it is on.
  static void start_switch(void** save, const void* bottom, std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(save, bottom, bytes);
#else
    (void)save, (void)bottom, (void)bytes;
#endif
  }
  static void finish_switch(void* saved, const void** bottom, std::size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(saved, bottom, bytes);
#else
    (void)saved, (void)bottom, (void)bytes;
#endif
  }

  inline static thread_local Fibers* active_ = nullptr;
  std::vector<Fiber> fibers_;
  std::jmp_buf scheduler_;
  const std::function<void(int)>* job_ = nullptr;
  int current_ = 0;
  std::exception_ptr failure_;
  void* scheduler_fake_stack_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_bytes_ = 0;
};

}  // namespace lpcm::cuda
