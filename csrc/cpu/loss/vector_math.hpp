// exp, log and their relatives on whole registers. Include after a header that defines `Vector`.
// Coefficients are Chebyshev fits made for this file, rounded to float.
#pragma once

namespace lpcm::loss {
namespace {

using Reg = Vector::Reg;

// exp(x) = 2^n exp(r), r = x - n ln 2 within +-0.3466; polynomial error 1.1e-8 of the value. NaN stays, inf stays.
inline Reg exp(Reg x) {
  const Reg argument = Vector::max(Vector::set(Vector::kLowestExp - 1), Vector::min(Vector::set(89.0F), x));
  const Reg n = Vector::round(Vector::mul(argument, Vector::set(1.44269504F)));
  Reg r = Vector::nfma(n, Vector::set(0.693359375F), argument);   // 355 / 512: n times it is exact
  r = Vector::nfma(n, Vector::set(-2.12194442e-4F), r);
  Reg q = Vector::fma(Vector::set(1.393368816934526e-3F), r, Vector::set(8.363205008208752e-3F));
  q = Vector::fma(q, r, Vector::set(4.1666463017463684e-2F));
  q = Vector::fma(q, r, Vector::set(1.6666576266288757e-1F));
  q = Vector::fma(q, r, Vector::set(0.5F));
  q = Vector::fma(q, Vector::mul(r, r), r);
  return Vector::scale(Vector::add(q, Vector::set(1.0F)), n, argument);
}

// log(x) = e ln 2 + 2 artanh(s), s = (m - 1) / (m + 1), for x > 0
inline Reg log(Reg x) {
  Reg m, e;
  Vector::split(x, m, e);
  const Reg one = Vector::set(1.0F);
  const Reg s = Vector::div(Vector::sub(m, one), Vector::add(m, one));
  const Reg z = Vector::mul(s, s);
  Reg q = Vector::fma(Vector::set(1.1670813709497452e-1F), z, Vector::set(1.42752006649971e-1F));
  q = Vector::fma(q, z, Vector::set(2.0000062882900238e-1F));
  q = Vector::fma(q, z, Vector::set(3.333333432674408e-1F));
  const Reg twice = Vector::add(s, s);
  const Reg small = Vector::fma(Vector::mul(q, z), twice, twice);
  return Vector::fma(e, Vector::set(0.693359375F), Vector::fma(e, Vector::set(-2.12194442e-4F), small));
}

// log(1 + u) for u in [0, 1]: the rounding of 1 + u is undone by the factor u / ((1 + u) - 1) (Kahan's device)
inline Reg log_one_plus(Reg u) {
  const Reg one = Vector::set(1.0F), sum = Vector::add(one, u), kept = Vector::sub(sum, one);
  const Reg safe = Vector::if_zero(kept, one, kept);
  return Vector::if_zero(kept, u, Vector::div(Vector::mul(log(sum), u), safe));
}

inline Reg negative_abs(Reg t) { return Vector::sub(Vector::zero(), Vector::abs(t)); }

inline Reg softplus(Reg t) {
  return Vector::add(Vector::max(Vector::zero(), t), log_one_plus(exp(negative_abs(t))));
}

inline Reg sigmoid(Reg t) {
  const Reg one = Vector::set(1.0F), e = exp(negative_abs(t));
  return Vector::div(Vector::if_negative(t, e, one), Vector::add(one, e));
}

// |t|^p; the smallest normal float stands for everything under it
inline Reg power(Reg t, Reg p) {
  const Reg size = Vector::abs(t);
  const Reg value = exp(Vector::mul(p, log(Vector::max(Vector::set(1.17549435e-38F), size))));
  return Vector::if_zero(size, Vector::zero(), value);
}

inline Reg sign(Reg t) { return Vector::if_zero(t, Vector::zero(), Vector::with_sign(Vector::set(1.0F), t)); }

}  // namespace
}  // namespace lpcm::loss
