// The CUDA loss for Python: addresses and sizes in, work put into a stream's queue, nothing kept.
// Built twice: as `_cuda` over the GPU, and with LPCM_EMULATED as `_cuda_emulated` over the machine that runs the same
// kernels on a processor, for tests. The caller owns every buffer and has checked shapes, dtypes and devices.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "../cuda/loss/api.hpp"
#include "../cuda/loss/plain.hpp"
#if defined(LPCM_EMULATED)
#include "../cuda/emulated/schedule.hpp"
#define LPCM_MODULE _cuda_emulated
#else
#define LPCM_MODULE _cuda
#endif

namespace py = pybind11;
using namespace lpcm;        // NOLINT: this unit only translates its names
using namespace lpcm::cuda;  // NOLINT

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

Dtype dtype_of(const std::string& text) {
  return choose<Dtype, 4>(text, "dtype",
                          {{{"float32", Dtype::float32}, {"float64", Dtype::float64}, {"bfloat16", Dtype::bfloat16}, {"float16", Dtype::float16}}});
}

using Address = std::uintptr_t;

template <class T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);  // zero stands for "nobody asked"
}

// (address, dtype, rows, columns, row stride, column stride)
using MatrixTuple = std::tuple<Address, std::string, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
// (address, dtype)
using PlaceTuple = std::tuple<Address, std::string>;

Matrix matrix(const MatrixTuple& t) {
  return {pointer<const void>(std::get<0>(t)), dtype_of(std::get<1>(t)), std::get<2>(t), std::get<3>(t), std::get<4>(t), std::get<5>(t)};
}

Place place(const PlaceTuple& t, const char* what) {
  const Dtype dtype = dtype_of(std::get<1>(t));
  if (dtype != Dtype::float32 && dtype != Dtype::float64) {
    throw std::invalid_argument(std::string(what).append(" must be float32 or float64, got ").append(std::get<1>(t)));
  }
  return {pointer<const void>(std::get<0>(t)), dtype};
}

Call make_call(const MatrixTuple& x, const std::optional<MatrixTuple>& y, const PlaceTuple& scale, const std::optional<PlaceTuple>& bias,
               Address labels, std::int64_t offset, const std::string& objective, const std::string& directions,
               const std::string& similarity, const std::string& arithmetic, Address centre, Address stream) {
  Call c;
  c.x = matrix(x);
  c.self = !y.has_value();
  c.y = y.has_value() ? matrix(*y) : c.x;
  if (c.x.rows < 1 || c.y.rows < 1 || c.x.columns != c.y.columns) throw std::invalid_argument("x and y need rows, and one width");
  c.scale = place(scale, "the scale");
  if (bias.has_value()) c.bias = place(*bias, "the bias");
  c.positives = {pointer<const std::int64_t>(labels), offset};
  c.objective = choose<Objective, 2>(objective, "objective", {{{"softmax", Objective::softmax}, {"sigmoid", Objective::sigmoid}}});
  c.directions = choose<Directions, 2>(directions, "directions", {{{"rows", Directions::rows}, {"both", Directions::both}}});
  c.similarity = choose<Similarity, 2>(similarity, "similarity", {{{"dot", Similarity::dot}, {"sqeuclidean", Similarity::sqeuclidean}}});
  c.arithmetic = choose<Arithmetic, 5>(arithmetic, "arithmetic",
                                       {{{"bf16", Arithmetic::bf16},
                                         {"fp16", Arithmetic::fp16},
                                         {"fp32", Arithmetic::fp32},
                                         {"bf16-wgmma", Arithmetic::bf16_wgmma},
                                         {"fp16-wgmma", Arithmetic::fp16_wgmma}}});
  c.centre = pointer<const double>(centre);
  c.stream = pointer<void>(stream);
  return c;
}

py::dict layout(const Call& c) {
  const Layout l = layout_of(c);
  py::dict d;
  d["planes"] = l.planes;
  d["dtype"] = l.bf16 ? "bfloat16" : "float16";
  d["width"] = l.width;
  d["tile_rows"] = l.tile_rows;
  d["tile_columns"] = l.tile_columns;
  return d;
}

using Triple = std::array<Address, 3>;
using Pair = std::array<std::int64_t, 2>;
using Wants = std::array<bool, 4>;

ContrastiveStatistics statistics_at(const Triple& t) { return {pointer<double>(t[0]), pointer<double>(t[1]), pointer<double>(t[2])}; }
Chunk chunk_of(const Pair& p) { return {p[0], p[1]}; }
Wanted wanted_of(const Wants& w) { return {w[0], w[1], w[2], w[3]}; }

PlainChunk plain_chunk(Address similarities, const std::array<std::int64_t, 3>& range, Address labels, std::int64_t offset, bool within,
                       const PlaceTuple& scale, const std::optional<PlaceTuple>& bias, const std::string& objective) {
  PlainChunk c{};
  c.similarities = pointer<const float>(similarities);
  c.first = range[0];
  c.rows = range[1];
  c.columns = range[2];
  c.positives = {pointer<const std::int64_t>(labels), offset};
  c.within = within;
  c.scale = place(scale, "the scale");
  c.bias = bias.has_value() ? place(*bias, "the bias") : Place{nullptr, Dtype::float32};
  c.objective = choose<Objective, 2>(objective, "objective", {{{"softmax", Objective::softmax}, {"sigmoid", Objective::sigmoid}}});
  return c;
}

Similarity distance_of(const std::string& text) {
  return choose<Similarity, 2>(text, "similarity", {{{"l1", Similarity::l1}, {"lp", Similarity::lp}}});
}

}  // namespace

PYBIND11_MODULE(LPCM_MODULE, m) {
  m.doc() = "Kernels of the contrastive loss for a GPU. Every call returns once its work is queued.";
  // local: both modules bind these types
  py::class_<Call>(m, "Call", py::module_local(), "A problem: addresses, sizes and choices.")
      .def(py::init(&make_call), py::kw_only(), py::arg("x"), py::arg("y"), py::arg("scale"), py::arg("bias"), py::arg("labels"),
           py::arg("offset"), py::arg("objective"), py::arg("directions"), py::arg("similarity"), py::arg("arithmetic"),
           py::arg("centre"), py::arg("stream"))
      .def_property_readonly("layout", &layout, "Planes, dtype and width of packed features; rows and columns of a tile.")
      .def(
          "pack_into", [](Call& c, Address x, Address y) { c.packed_x = pointer<std::uint16_t>(x); c.packed_y = pointer<std::uint16_t>(y); },
          py::arg("x"), py::arg("y"), "Where packed features go: planes x rows x width each.");
  m.def("forward_bytes", &forward_bytes, py::arg("call"), py::arg("band_rows"));
  m.def(
      "forward",
      [](const Call& c, std::int64_t band_rows, Address workspace, const Triple& statistics) {
        py::gil_scoped_release release;
        forward(c, band_rows, pointer<void>(workspace), statistics_at(statistics));
      },
      py::arg("call"), py::arg("band_rows"), py::arg("workspace"), py::arg("statistics"));
  m.def(
      "gradient_bytes", [](const Call& c, const Pair& chunk, const Wants& wanted) { return gradient_bytes(c, chunk_of(chunk), wanted_of(wanted)); },
      py::arg("call"), py::arg("chunk"), py::arg("wanted"));
  m.def(
      "begin_gradient",
      [](const Call& c, const Pair& chunk, const Wants& wanted, Address workspace, const Triple& saved, const Triple& weights) {
        py::gil_scoped_release release;
        begin_gradient(c, chunk_of(chunk), wanted_of(wanted), pointer<void>(workspace), statistics_at(saved),
                       {pointer<const double>(weights[0]), pointer<const double>(weights[1]), pointer<const double>(weights[2])});
      },
      py::arg("call"), py::arg("chunk"), py::arg("wanted"), py::arg("workspace"), py::arg("saved"), py::arg("weights"));
  m.def(
      "weigh",
      [](const Call& c, const Pair& chunk, const Wants& wanted, Address workspace, const std::array<std::int64_t, 4>& range, bool triangle,
         Address weights) {
        py::gil_scoped_release release;
        weigh(c, chunk_of(chunk), wanted_of(wanted), pointer<void>(workspace), {range[0], range[1], range[2], range[3], triangle},
              pointer<std::uint16_t>(weights));
      },
      py::arg("call"), py::arg("chunk"), py::arg("wanted"), py::arg("workspace"), py::arg("range"), py::arg("triangle"), py::arg("weights"));
  m.def(
      "finish_rows",
      [](const Call& c, const Pair& chunk, const Wants& wanted, Address workspace, bool is_x, const Pair& rows, Address sums,
         Address positive_weights, const std::array<Address, 2>& inverse, const PlaceTuple& out) {
        const GradientMatrix gradient{pointer<void>(std::get<0>(out)), dtype_of(std::get<1>(out))};
        py::gil_scoped_release release;
        finish_rows(c, chunk_of(chunk), wanted_of(wanted), pointer<void>(workspace), is_x, rows[0], rows[1], pointer<const float>(sums),
                    pointer<const double>(positive_weights), {pointer<const std::int64_t>(inverse[0]), pointer<const std::int64_t>(inverse[1])},
                    gradient);
      },
      py::arg("call"), py::arg("chunk"), py::arg("wanted"), py::arg("workspace"), py::arg("is_x"), py::arg("rows"), py::arg("sums"),
      py::arg("positive_weights"), py::arg("inverse"), py::arg("out"));
  m.def(
      "finish_scalars",
      [](const Call& c, const Pair& chunk, const Wants& wanted, Address workspace, Address positive_weights, Address scale, Address bias) {
        py::gil_scoped_release release;
        finish_scalars(c, chunk_of(chunk), wanted_of(wanted), pointer<void>(workspace), pointer<const double>(positive_weights),
                       pointer<double>(scale), pointer<double>(bias));
      },
      py::arg("call"), py::arg("chunk"), py::arg("wanted"), py::arg("workspace"), py::arg("positive_weights"), py::arg("scale"), py::arg("bias"));
  py::class_<PlainChunk>(m, "Chunk", py::module_local(), "Rows of a matrix of similarities, in memory.")
      .def(py::init(&plain_chunk), py::kw_only(), py::arg("similarities"), py::arg("range"), py::arg("labels"), py::arg("offset"),
           py::arg("within"), py::arg("scale"), py::arg("bias"), py::arg("objective"));
  m.def(
      "plain_sums",
      [](const PlainChunk& c, const std::array<Address, 4>& out, Address stream) {
        plain_sums({c, pointer<float>(out[0]), pointer<float>(out[1]), pointer<float>(out[2]), pointer<float>(out[3])}, pointer<void>(stream));
      },
      py::arg("chunk"), py::arg("out"), py::arg("stream"));
  m.def(
      "plain_weigh",
      [](const PlainChunk& c, const std::array<Address, 4>& coefficients, const std::string& dtype, float factor, const std::array<Address, 3>& out,
         Address stream) {
        const auto type = choose<WeightType, 3>(
            dtype, "dtype", {{{"float32", WeightType::float32}, {"bfloat16", WeightType::bfloat16}, {"float16", WeightType::float16}}});
        plain_weigh({c, pointer<const float>(coefficients[0]), pointer<const float>(coefficients[1]), pointer<const float>(coefficients[2]),
                     pointer<const float>(coefficients[3]), type, factor, pointer<void>(out[0]), pointer<float>(out[1]), pointer<float>(out[2])},
                    pointer<void>(stream));
      },
      py::arg("chunk"), py::arg("coefficients"), py::arg("dtype"), py::arg("factor"), py::arg("out"), py::arg("stream"));
  m.def(
      "distances",
      [](Address x, Address y, const std::array<std::int64_t, 3>& sizes, const std::string& similarity, float power, Address out, Address stream) {
        distances({pointer<const float>(x), pointer<const float>(y), sizes[0], sizes[1], sizes[2], distance_of(similarity), power, pointer<float>(out)},
                  pointer<void>(stream));
      },
      py::arg("x"), py::arg("y"), py::arg("sizes"), py::arg("similarity"), py::arg("power"), py::arg("out"), py::arg("stream"));
  m.def(
      "distance_gradient",
      [](Address weights, const Pair& strides, Address own, Address other, const std::array<std::int64_t, 3>& sizes, const std::string& similarity,
         float power, bool add, Address out, Address stream) {
        distance_gradient({pointer<const float>(weights), strides[0], strides[1], pointer<const float>(own), pointer<const float>(other), sizes[0],
                           sizes[1], sizes[2], distance_of(similarity), power, add, pointer<float>(out)},
                          pointer<void>(stream));
      },
      py::arg("weights"), py::arg("strides"), py::arg("own"), py::arg("other"), py::arg("sizes"), py::arg("similarity"), py::arg("power"),
      py::arg("add"), py::arg("out"), py::arg("stream"));
#if defined(LPCM_EMULATED)
  m.def(
      "emulate_as",
      [](const std::string& order, const std::string& copies, std::int64_t blocks, int stages) {
        Setting s;
        s.schedule.order = choose<Order, 3>(order, "order", {{{"ascending", Order::ascending}, {"descending", Order::descending}, {"mixed", Order::mixed}}});
        s.schedule.copies = choose<Copies, 2>(copies, "copies", {{{"early", Copies::early}, {"late", Copies::late}}});
        if (blocks < 1 || stages < 2 || stages > 3) throw std::invalid_argument("expected at least one block, and 2 or 3 stages");
        s.blocks = blocks;
        s.stages = stages;
        emulate_as(s);
      },
      py::arg("order"), py::arg("copies"), py::arg("blocks"), py::arg("stages"),
      "How threads, copies and blocks follow each other in later calls: nothing of it may show in a result.");
#endif
}
