// The encoder against a decoder of its own, which knows the wire format and nothing of the writer.
#include "common/trace/otlp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace eventrelay::trace {
namespace {

using ::testing::ElementsAre;

// One field of a message: its number, and its bytes or its value.
struct Field {
  std::uint32_t tag = 0;
  std::uint64_t number = 0;
  std::string bytes;
};

std::uint64_t read_varint(std::string_view& text) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; !text.empty() && shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  ADD_FAILURE() << "a varint is cut short";
  return 0;
}

std::uint64_t read_fixed(std::string_view& text, std::size_t size) {
  std::uint64_t value = 0;
  EXPECT_GE(text.size(), size);
  for (std::size_t i = 0; i < size && i < text.size(); ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  }
  text.remove_prefix(std::min(size, text.size()));
  return value;
}

std::vector<Field> fields_of(std::string_view text) {
  std::vector<Field> all;
  while (!text.empty()) {
    const std::uint64_t key = read_varint(text);
    Field field;
    field.tag = static_cast<std::uint32_t>(key >> 3U);
    switch (key & 7U) {
      case 0:
        field.number = read_varint(text);
        break;
      case 1:
        field.number = read_fixed(text, 8);
        break;
      case 2: {
        const std::uint64_t size = read_varint(text);
        EXPECT_GE(text.size(), size);
        field.bytes = std::string(text.substr(0, size));
        text.remove_prefix(std::min<std::size_t>(size, text.size()));
        break;
      }
      case 5:
        field.number = read_fixed(text, 4);
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7U);
        return all;
    }
    all.push_back(std::move(field));
  }
  return all;
}

// The one field with this tag.
Field only(const std::vector<Field>& fields, std::uint32_t tag) {
  std::vector<Field> found;
  for (const Field& each : fields) {
    if (each.tag == tag) found.push_back(each);
  }
  EXPECT_EQ(found.size(), 1U) << "tag " << tag;
  return found.empty() ? Field{} : found.front();
}

std::size_t count(const std::vector<Field>& fields, std::uint32_t tag) {
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(), [tag](const Field& f) { return f.tag == tag; }));
}

// key=text or key=number for each KeyValue with this tag.
std::vector<std::string> attributes_of(const std::vector<Field>& fields, std::uint32_t tag) {
  std::vector<std::string> all;
  for (const Field& each : fields) {
    if (each.tag != tag) continue;
    const std::vector<Field> pair = fields_of(each.bytes);
    const std::vector<Field> value = fields_of(only(pair, 2).bytes);
    EXPECT_EQ(value.size(), 1U);
    const Field& what = value.front();
    EXPECT_TRUE(what.tag == 1 || what.tag == 3) << what.tag;
    all.push_back(
        only(pair, 1).bytes + "=" +
        (what.tag == 1 ? what.bytes : std::to_string(static_cast<std::int64_t>(what.number))));
  }
  return all;
}

template <std::size_t N>
std::string bytes_of(const std::array<std::uint8_t, N>& id) {
  return {reinterpret_cast<const char*>(id.data()), id.size()};
}

Span root() {
  Span span;
  span.context = start_trace(trace_seed({1, 2, 3}));
  span.kind = SpanKind::Server;
  span.name = "POST /events/{element}";
  span.begin_ns = 1'700'000'000'123'456'789;
  span.end_ns = span.begin_ns + 5'000'000;
  return span;
}

std::vector<std::vector<Field>> spans_of(const std::string& request) {
  const auto resource_spans = fields_of(only(fields_of(request), 1).bytes);
  std::vector<std::vector<Field>> spans;
  for (const Field& each : fields_of(only(resource_spans, 2).bytes)) {
    if (each.tag == 2) spans.push_back(fields_of(each.bytes));
  }
  return spans;
}

TEST(Otlp, WrapsSpansInTheirResourceAndScope) {
  const std::vector<Span> spans{root(), root()};
  const std::string request = encode_spans({{"service.name", "a"}, {"k", "v"}}, spans);
  const auto whole = fields_of(request);
  ASSERT_EQ(whole.size(), 1U);
  const auto resource_spans = fields_of(only(whole, 1).bytes);
  EXPECT_EQ(only(resource_spans, 3).bytes, "https://opentelemetry.io/schemas/1.37.0");
  EXPECT_THAT(attributes_of(fields_of(only(resource_spans, 1).bytes), 1),
              ElementsAre("service.name=a", "k=v"));
  const auto scope_spans = fields_of(only(resource_spans, 2).bytes);
  EXPECT_EQ(only(scope_spans, 3).bytes, "https://opentelemetry.io/schemas/1.37.0");
  const auto scope = fields_of(only(scope_spans, 1).bytes);
  EXPECT_EQ(only(scope, 1).bytes, "eventrelay");
  EXPECT_EQ(only(scope, 2).bytes, EVENTRELAY_VERSION);
  EXPECT_EQ(count(scope_spans, 2), 2U);
}

TEST(Otlp, WritesARootSpan) {
  Span span = root();
  span.set("http.request.method", "POST");
  span.set("http.response.status_code", std::int64_t{202});
  span.set("negative", std::int64_t{-7});
  const auto spans = spans_of(encode_spans({}, std::span(&span, 1)));
  ASSERT_EQ(spans.size(), 1U);
  const auto& fields = spans.front();
  EXPECT_EQ(only(fields, 1).bytes, bytes_of(span.context.trace));
  EXPECT_EQ(only(fields, 2).bytes, bytes_of(span.context.span));
  EXPECT_EQ(count(fields, 4), 0U);
  EXPECT_EQ(only(fields, 5).bytes, span.name);
  EXPECT_EQ(only(fields, 6).number, 2U);
  EXPECT_EQ(only(fields, 7).number, static_cast<std::uint64_t>(span.begin_ns));
  EXPECT_EQ(only(fields, 8).number, static_cast<std::uint64_t>(span.end_ns));
  EXPECT_THAT(
      attributes_of(fields, 9),
      ElementsAre("http.request.method=POST", "http.response.status_code=202", "negative=-7"));
  EXPECT_EQ(count(fields, 13), 0U);
  EXPECT_EQ(count(fields, 15), 0U);
  EXPECT_EQ(only(fields, 16).number, 0x101U);
}

TEST(Otlp, WritesAChildThatFailedAndItsLink) {
  Span span = root();
  span.parent = SpanId{1, 2, 3, 4, 5, 6, 7, 8};
  span.remote_parent = true;
  span.kind = SpanKind::Consumer;
  span.link = TraceContext{TraceId{9}, SpanId{8}, true};
  span.fail("http_5xx");
  const auto spans = spans_of(encode_spans({}, std::span(&span, 1)));
  const auto& fields = spans.front();
  EXPECT_EQ(only(fields, 4).bytes, bytes_of(span.parent));
  EXPECT_EQ(only(fields, 6).number, 5U);
  EXPECT_THAT(attributes_of(fields, 9), ElementsAre("error.type=http_5xx"));
  EXPECT_EQ(only(fields, 16).number, 0x301U);
  EXPECT_EQ(only(fields_of(only(fields, 15).bytes), 3).number, 2U);
  const auto linked = fields_of(only(fields, 13).bytes);
  EXPECT_EQ(only(linked, 1).bytes, bytes_of(span.link->trace));
  EXPECT_EQ(only(linked, 2).bytes, bytes_of(span.link->span));
  EXPECT_EQ(only(linked, 6).number, 0x301U);
}

TEST(Otlp, AnEndIsNeverBeforeItsBeginning) {
  Span span = root();
  span.end_ns = span.begin_ns - 1;
  const auto spans = spans_of(encode_spans({}, std::span(&span, 1)));
  EXPECT_EQ(only(spans.front(), 8).number, static_cast<std::uint64_t>(span.begin_ns));
}

TEST(Otlp, TextIsUtf8AndCut) {
  Span span = root();
  span.set("wrong", "a\xFF\xC3(");
  span.set("long", std::string(1000, 'x'));
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\xE2\x82\xAC";  // three bytes each
  span.set("wide", wide);
  const auto spans = spans_of(encode_spans({}, std::span(&span, 1)));
  EXPECT_THAT(attributes_of(spans.front(), 9),
              ElementsAre("wrong=a\xEF\xBF\xBD\xEF\xBF\xBD(", "long=" + std::string(256, 'x'),
                          "wide=" + wide.substr(0, 255)));
}

std::string varint_field(std::uint32_t tag, std::uint64_t value) {
  std::string out(1, static_cast<char>(tag << 3U));
  for (; value >= 0x80; value >>= 7U) out.push_back(static_cast<char>(value | 0x80U));
  out.push_back(static_cast<char>(value));
  return out;
}

std::string bytes_field(std::uint32_t tag, const std::string& bytes) {
  std::string out(1, static_cast<char>(tag << 3U | 2U));
  out.push_back(static_cast<char>(bytes.size()));
  return out.append(bytes);
}

TEST(Otlp, ReadsWhatACollectorRejected) {
  const std::string part = varint_field(1, 300) + bytes_field(2, "too\nmany");
  const Rejected rejected = decode_answer(bytes_field(1, part));
  EXPECT_EQ(rejected.spans, 300U);
  EXPECT_EQ(rejected.reason, "too?many");
  // Fields that are not known are passed over.
  EXPECT_EQ(decode_answer(varint_field(7, 1) + bytes_field(1, varint_field(9, 2) + part)).spans,
            300U);
}

TEST(Otlp, AnAnswerWithoutRejectedSpansRejectsNone) {
  EXPECT_EQ(decode_answer("").spans, 0U);
  EXPECT_EQ(decode_answer(bytes_field(1, "")).spans, 0U);
  EXPECT_EQ(decode_answer(bytes_field(1, bytes_field(2, "a warning alone"))).spans, 0U);
  EXPECT_EQ(decode_answer(bytes_field(1, varint_field(1, UINT64_MAX))).spans, 0U);  // -1
}

TEST(Otlp, AnAnswerThatIsNotProtobufRejectsNone) {
  for (const char* wrong :
       {"{}", "<html>", "\x0A", "\x0A\x7F", "\xFF\xFF\xFF\xFF", "\x0A\x02\x08"}) {
    EXPECT_EQ(decode_answer(wrong).spans, 0U) << wrong;
  }
}

TEST(Otlp, EveryPrefixOfAnAnswerIsTaken) {
  const std::string whole =
      bytes_field(1, varint_field(1, 300) + bytes_field(2, std::string(100, 'r')));
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const Rejected rejected = decode_answer(std::string_view(whole).substr(0, size));
    EXPECT_TRUE(rejected.spans == 0 || rejected.spans == 300);
  }
}

}  // namespace
}  // namespace eventrelay::trace
