// Made from the descriptions: Example<Field> fills a field as an application would, Written<Field> does to it
// what a module does.
#include "example_parameters.h"

#include <cctype>

#include "calls/mechanism_families.h"

namespace p11shim::params {
namespace {

template <class Field>
struct Example;
template <class Field>
struct Written {
  template <class S>
  static void write(Source&, S&) {}
};

template <class D, class Fields = typename D::Fields>
struct Whole;
template <class D, class... F>
struct Whole<D, Types<F...>> {
  static void fill(Source& source, typename D::Struct& s) { (Example<F>::fill(source, s), ...); }
  static void write(Source& source, typename D::Struct& s) { (Written<F>::write(source, s), ...); }
};
// A pair, as FieldsOf expects of a worker.
template <class S>
S* make_example(Source& source) {
  S* structs = source.arena.make<S>(2);
  Whole<Params<S>>::fill(source, structs[0]);
  structs[1] = structs[0];
  return structs;
}

template <auto M>
struct Example<Number<M>> {
  static void fill(Source& source, StructOf<M>& s) { s.*M = static_cast<TypeOf<M>>(source.number(100)); }
};
template <auto M, NameKind K>
struct Example<Named<M, K>> {
  static void fill(Source& source, StructOf<M>& s) { s.*M = source.number(4); }
};
template <auto M>
struct Example<Handle<M>> {
  static void fill(Source& source, StructOf<M>& s) { s.*M = source.number(1000); }
};
template <auto M>
struct Example<Octets<M>> {
  static void fill(Source& source, StructOf<M>& s) { source.rewrite(s.*M, sizeof(s.*M)); }
};
template <auto P, auto L>
struct Example<Buffer<P, L>> {
  static void fill(Source& source, StructOf<P>& s) {
    s.*L = source.number(100);
    s.*P = source.bytes(s.*L);
  }
};
template <auto P, auto L>
struct Example<BufferWithPointedLength<P, L>> {
  static void fill(Source& source, StructOf<P>& s) {
    s.*L = source.arena.make<CK_ULONG>();
    *(s.*L) = source.number(100);
    s.*P = source.bytes(*(s.*L));
  }
};
template <class F>
struct Example<Secret<F>> : Example<F> {};
template <auto P, class Size>
struct Example<Input<P, Size>> {
  static void fill(Source& source, StructOf<P>& s) { s.*P = source.bytes(Size::of(s)); }
};
template <auto P, class Size>
struct Example<InOut<P, Size>> : Example<Input<P, Size>> {};
template <auto P, class Size>
struct Example<Output<P, Size>> {
  static void fill(Source& source, StructOf<P>& s) {
    s.*P = static_cast<TypeOf<P>>(static_cast<void*>(source.bytes(Size::of(s))));
  }
};
template <auto C, TypeOf<C> V, class F>
struct Example<When<C, V, F>> {
  static void fill(Source& source, StructOf<C>& s) {
    if (When<C, V, F>::holds(s)) Example<F>::fill(source, s);
  }
};
template <auto M, class D>
struct Example<Inline<M, D>> {
  static void fill(Source& source, StructOf<M>& s) { Whole<D>::fill(source, s.*M); }
};
template <auto M>
struct Example<Pointer<M>> {
  static void fill(Source& source, StructOf<M>& s) { s.*M = make_example<std::remove_pointer_t<TypeOf<M>>>(source); }
};
template <auto M, auto Count>
struct Example<ArrayOf<M, Count>> {
  static void fill(Source& source, StructOf<M>& s) {
    using T = std::remove_pointer_t<TypeOf<M>>;
    s.*Count = source.number(4);
    s.*M = source.arena.make<T>(2 * s.*Count);
    for (CK_ULONG i = 0; i < s.*Count; ++i) {
      Whole<Params<T>>::fill(source, (s.*M)[i]);
      (s.*M)[s.*Count + i] = (s.*M)[i];
    }
  }
};
template <auto M>
struct Example<MechanismPointer<M>> {
  static void fill(Source& source, StructOf<M>& s) {
    s.*M = source.arena.make<CK_MECHANISM>();
    *(s.*M) = {CKM_RSA_PKCS_PSS, make_example<CK_RSA_PKCS_PSS_PARAMS>(source), sizeof(CK_RSA_PKCS_PSS_PARAMS)};
  }
};
template <auto M>
struct Example<CString<M>> {
  static void fill(Source& source, StructOf<M>& s) {
    const CK_ULONG length = source.number(40);
    s.*M = source.bytes(length);
    (s.*M)[length] = 0;
  }
};
template <auto M, auto Count>
struct Example<Template<M, Count>> {
  static void fill(Source& source, StructOf<M>& s) {
    s.*Count = 2;
    s.*M = source.arena.make<CK_ATTRIBUTE>(2);
    auto* object_class = source.arena.make<CK_ULONG>();
    *object_class = CKO_SECRET_KEY;
    (s.*M)[0] = {CKA_CLASS, object_class, sizeof(CK_ULONG)};
    (s.*M)[1] = {CKA_LABEL, source.bytes(7), 7};
  }
};
template <auto M>
struct Example<OutHandlePointer<M>> {
  static void fill(Source& source, StructOf<M>& s) { s.*M = source.arena.make<CK_OBJECT_HANDLE>(); }
};
template <auto M, class Size, auto... Iv, auto... H>
struct Example<KeyMaterial<M, Size, OutIvs<Iv...>, OutHandles<H...>>> {
  static void fill(Source& source, StructOf<M>& s) {
    s.*M = source.arena.make<std::remove_pointer_t<TypeOf<M>>>(2);
    (((s.*M)->*Iv = source.bytes(Size::of(s))), ...);
    (s.*M)[1] = *(s.*M);
  }
};
template <auto M, auto L>
struct Example<SizedOutput<M, L>> : Example<Buffer<M, L>> {};
template <auto M, auto L>
struct Example<PointedOutput<M, L>> {
  static void fill(Source& source, StructOf<M>& s) {
    s.*L = source.arena.make<CK_ULONG>(2);
    (s.*L)[0] = (s.*L)[1] = source.number(100);
    s.*M = source.bytes(*(s.*L));
  }
};
template <CK_ULONG T, class S>
struct Example<Case<T, Layouts<S>>> {
  static bool fill(Source& source, CK_ULONG type, CK_VOID_PTR& value, CK_ULONG& size) {
    if (type != T) return false;
    value = make_example<S>(source);
    size = sizeof(S);
    return true;
  }
};
template <auto T, auto M, auto L, class... C>
struct Example<Typed<T, M, L, C...>> {
  static void fill(Source& source, StructOf<T>& s) {
    s.*T = source.number(8);
    if ((Example<C>::fill(source, s.*T, s.*M, s.*L) || ...)) return;
    s.*L = source.number(50);
    s.*M = source.bytes(s.*L);
  }
};

template <auto P, class Size>
struct Written<InOut<P, Size>> {
  static void write(Source& source, StructOf<P>& s) {
    source.rewrite(static_cast<CK_BYTE_PTR>(static_cast<void*>(s.*P)), Size::of(s));
  }
};
template <auto P, class Size>
struct Written<Output<P, Size>> : Written<InOut<P, Size>> {};
template <class F>
struct Written<Secret<F>> : Written<F> {};
template <auto M, class D>
struct Written<Inline<M, D>> {
  static void write(Source& source, StructOf<M>& s) { Whole<D>::write(source, s.*M); }
};
template <auto M, auto Count>
struct Written<ArrayOf<M, Count>> {
  static void write(Source& source, StructOf<M>& s) {
    using T = std::remove_pointer_t<TypeOf<M>>;
    for (CK_ULONG i = 0; i < s.*Count; ++i) Whole<Params<T>>::write(source, (s.*M)[i]);
  }
};
template <auto M>
struct Written<OutHandlePointer<M>> {
  static void write(Source& source, StructOf<M>& s) { *(s.*M) = source.number(1000); }
};
template <auto M, class Size, auto... Iv, auto... H>
struct Written<KeyMaterial<M, Size, OutIvs<Iv...>, OutHandles<H...>>> {
  static void write(Source& source, StructOf<M>& s) {
    (source.rewrite((s.*M)->*Iv, Size::of(s)), ...);
    (((s.*M)->*H = source.number(1000)), ...);
  }
};
template <auto M, auto L>
struct Written<SizedOutput<M, L>> {
  static void write(Source& source, StructOf<M>& s) {
    s.*L = source.number(s.*L);
    source.rewrite(s.*M, s.*L);
  }
};
template <auto M, auto L>
struct Written<PointedOutput<M, L>> {
  static void write(Source& source, StructOf<M>& s) {
    *(s.*L) = source.number(*(s.*L));
    source.rewrite(s.*M, *(s.*L));
  }
};

template <class S, class Fields = typename Params<S>::Fields>
struct HasCondition;
template <class S, class... F>
struct HasCondition<S, Types<F...>> {
  template <class>
  struct IsWhen : std::false_type {};
  template <auto C, TypeOf<C> V, class I>
  struct IsWhen<When<C, V, I>> : std::true_type {};
  static constexpr bool value = (IsWhen<F>::value || ...);
};

// "pIv" of &CK_GCM_PARAMS::pIv: compilers spell the value of a template parameter in the name of the
// function.
template <auto Member>
const char* spelled() {
  return __PRETTY_FUNCTION__;
}
template <auto Member>
std::string member_name() {
  const std::string function = spelled<Member>();
  const std::size_t begin = function.rfind("::") + 2;
  std::size_t end = begin;
  while (std::isalnum(static_cast<unsigned char>(function[end])) != 0 || function[end] == '_') ++end;
  return function.substr(begin, end - begin);
}
template <class Field>
std::string field_text() {
  std::string form;
  if constexpr (requires { Field::form; }) form = Field::form;
  return form + std::string(Field::kind) + " " + member_name<Field::member>();
}
// "buffer pIv, number ulIvBits, …"
template <class... F>
std::string field_list(Types<F...>) {
  std::string list;
  ((list += (list.empty() ? "" : ", ") + field_text<F>()), ...);
  return list;
}

template <class... L, class Add>
void add_layouts(Layouts<L...>, Add add) {
  const auto one = [&]<class S>(S*) {
    if constexpr (std::is_same_v<S, Flat>) add(LayoutExample{.name = "bytes"});
    else
      add(LayoutExample{
          .name = std::string(Params<S>::name),
          .fields = field_list(typename Params<S>::Fields{}),
          .size = sizeof(S),
          .has_condition = HasCondition<S>::value,
          .writes_back = FieldsOf<Params<S>>::writes_back,
          .make = [](Source& source) -> void* { return make_example<S>(source); },
          .write = [](Source& source, void* s) { Whole<Params<S>>::write(source, *static_cast<S*>(s)); }});
  };
  (one(static_cast<L*>(nullptr)), ...);
}

template <class... F>
std::vector<FamilyExample> list(Types<F...>) {
  std::vector<FamilyExample> families;
  const auto one = [&]<class Each>(Each*) {
    FamilyExample& family = families.emplace_back();
    family.types.assign(std::begin(Each::types), std::end(Each::types));
    add_layouts(typename Each::Codec{}, [&](LayoutExample layout) { family.layouts.push_back(std::move(layout)); });
  };
  (one(static_cast<F*>(nullptr)), ...);
  return families;
}

}  // namespace

std::vector<FamilyExample> families() { return list(Families{}); }
std::vector<FamilyExample> message_families() { return list(MessageFamilies{}); }
std::vector<LayoutExample> inner_structs() {
  std::vector<LayoutExample> structs;
  add_layouts(
      Layouts<CK_SSL3_RANDOM_DATA, CK_WTLS_RANDOM_DATA, CK_OTP_PARAM, CK_PRF_DATA_PARAM, CK_SP800_108_COUNTER_FORMAT,
              CK_SP800_108_DKM_LENGTH_FORMAT, CK_DERIVED_KEY, CK_NSS_JPAKEPublicValue>{},
      [&](LayoutExample layout) { structs.push_back(std::move(layout)); });
  structs.push_back({.name = std::string(JpakeFilled::name), .fields = field_list(JpakeFilled::Fields{})});
  return structs;
}

}  // namespace p11shim::params
