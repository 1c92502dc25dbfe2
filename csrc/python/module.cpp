// The Python face of the core: converts, checks, releases the GIL, and does nothing else.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "lpcm/devices.hpp"
#include "lpcm/features.hpp"

namespace py = pybind11;

void bind_loss(py::module_& m);  // loss.cpp

namespace {

py::dict cpu() {
  const lpcm::CpuFeatures& f = lpcm::cpu_features();
  py::list available;
  for (const lpcm::CpuLevel level : f.available) available.append(std::string(lpcm::name(level)));
  py::dict d;
  d["vendor"] = f.vendor;
  d["brand"] = f.brand;
  d["fma"] = f.fma;
  d["avx2"] = f.avx2;
  d["avx512"] = f.avx512;
  d["avx512_bf16"] = f.avx512_bf16;
  d["amx_bf16"] = f.amx_bf16;
  d["available"] = available;
  return d;
}

py::dict gpus() {
  lpcm::GpuReport report;
  {
    py::gil_scoped_release release;  // the first call starts the driver, which can take seconds
    report = lpcm::find_gpus();
  }
  py::list found;
  for (const lpcm::Gpu& g : report.gpus) {
    py::dict d;
    d["index"] = g.index;
    d["name"] = g.name;
    d["compute_capability"] = py::make_tuple(g.major, g.minor);
    d["memory_bytes"] = g.memory_bytes;
    d["multiprocessors"] = g.multiprocessors;
    found.append(d);
  }
  py::dict d;
  d["gpus"] = found;
  d["why_none"] = report.why_none;
  return d;
}

py::dict build() {
  py::dict d;
  d["version"] = LPCM_VERSION;
  d["compiler"] = __VERSION__;
#if defined(LPCM_WITH_CUDA)
  d["cuda_architectures"] = LPCM_CUDA_ARCHITECTURES;
#else
  d["cuda_architectures"] = py::none();
#endif
  return d;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "Compiled core of lpcm: what this machine is and which kernels were built for it.";
  m.def("cpu", &cpu, "Instruction sets of this processor and the kernel levels that they allow.");
  m.def(
      "active_cpu_level", [] { return std::string(lpcm::name(lpcm::active_cpu_level())); },
      "The kernel level in force; LPCM_CPU_LEVEL overrides the best available one. Raises ValueError.");
  m.def("gpus", &gpus, "GPUs that the CUDA runtime shows, and the reason when there are none.");
  m.def("build", &build, "Version, compiler and CUDA targets that this module was built with.");
  bind_loss(m);
}
