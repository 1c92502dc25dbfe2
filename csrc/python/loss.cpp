// The contrastive loss for Python: addresses and sizes in, nothing kept. The caller owns every buffer and has checked
// dtypes and devices; what can be said about sizes and labels is checked again by the core.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "lpcm/loss.hpp"

namespace py = pybind11;

namespace {

template <class Enum, std::size_t kCount>
Enum choose(const std::string& text, const char* what, const std::array<std::pair<const char*, Enum>, kCount>& choices) {
  std::string known;
  for (const auto& [name, value] : choices) {
    if (text == name) return value;
    known.append(known.empty() ? "" : ", ").append(name);
  }
  throw std::invalid_argument(std::string(what).append(" is '").append(text).append("': expected one of ").append(known));
}

lpcm::Dtype dtype_of(const std::string& text) {
  using lpcm::Dtype;
  return choose<Dtype, 4>(text, "dtype",
                          {{{"float32", Dtype::float32}, {"float64", Dtype::float64}, {"bfloat16", Dtype::bfloat16}, {"float16", Dtype::float16}}});
}

template <class T>
T* pointer(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);  // zero stands for "nobody asked"
}

// (address, dtype, rows, columns, row stride, column stride)
using MatrixTuple = std::tuple<std::uintptr_t, std::string, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
// (address, dtype)
using PlaceTuple = std::tuple<std::uintptr_t, std::string>;

lpcm::Matrix matrix(const MatrixTuple& t) {
  lpcm::Matrix m;
  m.data = pointer<const void>(std::get<0>(t));
  m.dtype = dtype_of(std::get<1>(t));
  m.rows = std::get<2>(t);
  m.columns = std::get<3>(t);
  m.row_stride = std::get<4>(t);
  m.column_stride = std::get<5>(t);
  return m;
}

// A scalar that lives in the caller's memory.
double read(const PlaceTuple& place, const char* what) {
  const void* at = pointer<const void>(std::get<0>(place));
  if (at == nullptr) throw std::invalid_argument(std::string(what).append(" has no memory"));
  if (dtype_of(std::get<1>(place)) == lpcm::Dtype::float64) return *static_cast<const double*>(at);
  if (dtype_of(std::get<1>(place)) == lpcm::Dtype::float32) return static_cast<double>(*static_cast<const float*>(at));
  throw std::invalid_argument(std::string(what).append(" must be float32 or float64, got ").append(std::get<1>(place)));
}

lpcm::ContrastiveProblem problem(const MatrixTuple& x, const std::optional<MatrixTuple>& y, const PlaceTuple& scale,
                                 const std::optional<PlaceTuple>& bias, std::uintptr_t labels, std::int64_t offset,
                                 const py::dict& options) {
  using namespace lpcm;
  const auto text = [&](const char* key) { return py::cast<std::string>(options[key]); };
  ContrastiveProblem p;
  p.x = matrix(x);
  p.self = !y.has_value();
  if (y.has_value()) p.y = matrix(*y);
  p.scale = read(scale, "the scale");
  p.bias = bias.has_value() ? read(*bias, "the bias") : 0.0;
  p.objective = choose<Objective, 2>(text("objective"), "objective", {{{"softmax", Objective::softmax}, {"sigmoid", Objective::sigmoid}}});
  p.directions = choose<Directions, 2>(text("directions"), "directions", {{{"rows", Directions::rows}, {"both", Directions::both}}});
  p.similarity = choose<Similarity, 4>(
      text("similarity"), "similarity",
      {{{"dot", Similarity::dot}, {"sqeuclidean", Similarity::sqeuclidean}, {"l1", Similarity::l1}, {"lp", Similarity::lp}}});
  p.power = py::cast<double>(options["power"]);
  p.precision = choose<Precision, 3>(text("precision"), "precision",
                                     {{{"bf16", Precision::bf16}, {"fp32", Precision::fp32}, {"float64", Precision::fp64}}});
  p.labels = pointer<const std::int64_t>(labels);
  p.label_offset = offset;
  p.threads = py::cast<int>(options["threads"]);
  const std::string level = text("level");
  if (level == "emulated-amx") {
    p.level = CpuLevel::amx;
    p.tiles = Tiles::emulated;
  } else if (level.empty()) {
    p.level = active_cpu_level();
  } else {
    p.level = parse_cpu_level(level);
    const auto& available = cpu_features().available;
    if (std::find(available.begin(), available.end(), p.level) == available.end()) {
      throw std::invalid_argument(std::string("this processor lacks CPU level '").append(level).append("'"));
    }
  }
  if (!std::isfinite(p.bias)) throw std::invalid_argument("logit_bias is " + std::to_string(p.bias) + ": expected a finite number");
  if (!std::isfinite(p.scale)) throw std::invalid_argument("logit_scale is " + std::to_string(p.scale) + ": expected a finite number");
  return p;
}

void forward(const MatrixTuple& x, const std::optional<MatrixTuple>& y, const PlaceTuple& scale,
             const std::optional<PlaceTuple>& bias, std::uintptr_t labels, std::int64_t offset, const py::dict& options,
             std::array<std::uintptr_t, 3> statistics) {
  const lpcm::ContrastiveProblem p = problem(x, y, scale, bias, labels, offset, options);
  py::gil_scoped_release release;
  lpcm::contrastive_forward(p, {pointer<double>(statistics[0]), pointer<double>(statistics[1]), pointer<double>(statistics[2])});
}

void backward(const MatrixTuple& x, const std::optional<MatrixTuple>& y, const PlaceTuple& scale,
              const std::optional<PlaceTuple>& bias, std::uintptr_t labels, std::int64_t offset, const py::dict& options,
              std::array<std::uintptr_t, 3> statistics, std::array<std::uintptr_t, 3> weights, const PlaceTuple& x_gradient,
              const PlaceTuple& y_gradient, std::uintptr_t scale_gradient, std::uintptr_t bias_gradient) {
  const lpcm::ContrastiveProblem p = problem(x, y, scale, bias, labels, offset, options);
  lpcm::ContrastiveGradients out;
  out.x = {pointer<void>(std::get<0>(x_gradient)), dtype_of(std::get<1>(x_gradient))};
  out.y = {pointer<void>(std::get<0>(y_gradient)), dtype_of(std::get<1>(y_gradient))};
  out.scale = pointer<double>(scale_gradient);
  out.bias = pointer<double>(bias_gradient);
  py::gil_scoped_release release;
  lpcm::contrastive_backward(
      p, {pointer<double>(statistics[0]), pointer<double>(statistics[1]), pointer<double>(statistics[2])},
      {pointer<const double>(weights[0]), pointer<const double>(weights[1]), pointer<const double>(weights[2])}, out);
}

// A problem of no size: what depends on level and precision only.
lpcm::ContrastiveProblem any_problem(const py::dict& options) {
  static const float one = 1.0F;
  const auto address = reinterpret_cast<std::uintptr_t>(&one);
  const MatrixTuple x{address, "float32", 1, 1, 1, 1};
  return problem(x, x, {address, "float32"}, std::nullopt, 0, 0, options);
}

std::string arithmetic(const py::dict& options) { return lpcm::contrastive_arithmetic(any_problem(options)); }

double peak(const py::dict& options, double seconds) {
  const lpcm::ContrastiveProblem p = any_problem(options);
  py::gil_scoped_release release;
  return lpcm::contrastive_peak(p, seconds);
}

}  // namespace

void bind_loss(py::module_& m) {
  m.def("contrastive_forward", &forward, py::arg("x"), py::arg("y"), py::arg("scale"), py::arg("bias"), py::arg("labels"),
        py::arg("offset"), py::arg("options"), py::arg("statistics"),
        "Log-sum-exps over negatives and positives, written to three float64 arrays. Raises ValueError.");
  m.def("contrastive_backward", &backward, py::arg("x"), py::arg("y"), py::arg("scale"), py::arg("bias"), py::arg("labels"),
        py::arg("offset"), py::arg("options"), py::arg("statistics"), py::arg("weights"), py::arg("x_gradient"),
        py::arg("y_gradient"), py::arg("scale_gradient"), py::arg("bias_gradient"),
        "Gradients for given weights of the three arrays of contrastive_forward. Raises ValueError.");
  m.def("contrastive_arithmetic", &arithmetic, py::arg("options"),
        "How the products of such a problem are carried out here, in words.");
  m.def("contrastive_peak", &peak, py::arg("options"), py::arg("seconds"),
        "Operations per second of those products' own instruction on options['threads'] threads, and nothing else.");
}
