// Says what is wrong with a problem before any pointer is followed.
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine.hpp"

namespace lpcm::loss {
namespace {

std::string shape(const Matrix& m) { return "(" + std::to_string(m.rows) + ", " + std::to_string(m.columns) + ")"; }

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

}  // namespace

void check(const ContrastiveProblem& p) {
  const Matrix& y = p.self ? p.x : p.y;
  if (p.x.rows < 1 || y.rows < 1) {
    refuse("a contrastive loss needs at least one row on each side, got x " + shape(p.x) + " and y " + shape(y));
  }
  if (p.x.columns != y.columns) {
    refuse("x and y must have the same width d, got x " + shape(p.x) + " and y " + shape(y));
  }
  if (p.self && p.x.rows < 2) refuse("pairs within x need at least two rows, got x " + shape(p.x));
  if ((p.self || p.objective == Objective::sigmoid) && p.directions == Directions::both) {
    refuse("directions 'both' is for the softmax objective between x and y; here it must be 'rows'");
  }
  if (p.self && p.objective == Objective::sigmoid) refuse("the sigmoid objective needs both x and y");
  if (p.similarity == Similarity::lp && !(p.power >= 1.0 && std::isfinite(p.power))) {
    refuse("the power p of similarity 'lp' must be finite and at least 1, got " + std::to_string(p.power));
  }
  if (p.threads < 1) refuse("threads must be at least 1, got " + std::to_string(p.threads));
  const std::int64_t m = y.rows;
  for (std::int64_t i = 0; i < p.x.rows; ++i) {
    const std::int64_t label = label_of(p, i);
    if (label < 0 || label >= m) {
      refuse("row " + std::to_string(i) + " has its positive in column " + std::to_string(label) +
             ", but columns are 0 to " + std::to_string(m - 1) + ": x is " + shape(p.x) + ", y is " + shape(y) +
             (p.labels == nullptr ? "; pass labels when they do not match row by row" : "; check labels"));
    }
    if (p.self && label_of(p, label) != i) {
      refuse("pairs within x must be mutual: row " + std::to_string(i) + " names row " + std::to_string(label) +
             ", which names row " + std::to_string(label_of(p, label)));
    }
    if (p.self && label == i) refuse("pairs within x: row " + std::to_string(i) + " names itself as its positive");
  }
}

}  // namespace lpcm::loss
