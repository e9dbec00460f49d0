// The seeds of the fuzz targets are real frames: one request and one reply of every call, made from the
// table. That they are files also shows every change of the bytes on the wire. P11TEST_UPDATE=1 writes them
// anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "call_probes.h"
#include "loopback_exchange.h"
#include "tests/places.h"

namespace p11shim {
namespace {

const std::filesystem::path kCorpus = std::filesystem::path(source_dir()) / "tests/fuzz/corpus";

// Frames without their length prefix.
void check_seed(const std::filesystem::path& file, std::span<const std::uint8_t> frame) {
  const char* update = std::getenv("P11TEST_UPDATE");
  if (update != nullptr && *update == '1') {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(frame.data()), static_cast<std::streamsize>(frame.size()));
  }
  std::ifstream stream(file, std::ios::binary);
  const std::string found{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_TRUE(std::equal(found.begin(), found.end(), frame.begin(), frame.end(),
                         [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }))
      << file << " is not what the table gives";
}

TEST(Seeds, OfCallsAreWhatTheTableGives) {
  for_each_forwarded_call([]<class Call>() {
    Probes<Call> probes(Variant::full, CKR_OK);
    FakeFunction<Call>::answer_with(probes);
    CK_FUNCTION_LIST_3_0 module{};
    module.*Call::member = &FakeFunction<Call>::function;
    LoopbackExchange exchange(module);
    exchange.request().id = Call::number;
    probes.with_arguments([&](auto... arguments) { perform_call<Call>(exchange, kMessageMechanism, arguments...); });
    check_seed(kCorpus / "calls" / (std::string(Call::name) + ".request"),
               exchange.request_frame.bytes().subspan(kLengthPrefix));
    check_seed(kCorpus / "calls" / (std::string(Call::name) + ".reply"),
               exchange.reply_frame.bytes().subspan(kLengthPrefix));
  });
}

Id128 id_of(std::uint8_t byte) {
  Id128 id;
  id.fill(byte);
  return id;
}

TEST(Seeds, OfMessagesAreOneOfEachKind) {
  Buffer hello, welcome, goodbye, request, reply;
  Hello said;
  said.fingerprint = 1;
  said.word_size = sizeof(CK_ULONG);
  said.instance = id_of(1);
  said.secret = id_of(2);
  said.parent = id_of(3);
  said.program = "program";
  write_hello(hello, said);
  Welcome answered;
  answered.secret = id_of(4);
  answered.max_frame = limits::kMaxFrame;
  answered.reason = "reason";
  write_welcome(welcome, answered);
  write_goodbye(goodbye);
  Request asked;
  asked.has_mechanism = true;
  asked.trace = id_of(5);
  asked.handles.add(6);
  write_request_head(request, asked);
  Reply given;
  given.handles.add(7);
  const std::uint8_t annex[] = {8};
  given.annex = annex;
  write_reply_head(reply, given);
  const std::pair<const char*, Buffer*> all[] = {
      {"hello", &hello}, {"welcome", &welcome}, {"goodbye", &goodbye}, {"request", &request}, {"reply", &reply}};
  for (const auto& [name, frame] : all) check_seed(kCorpus / "message" / name, frame->bytes().subspan(kLengthPrefix));
}

TEST(Seeds, OfTemplatesAreATemplateAQueryAndAnswers) {
  const ProbeContext context{Variant::full, CKR_OK, 1};
  Probe<InTemplate> in(context);
  Probe<QueryTemplate> query(context);
  Buffer given, asked, answers;
  Out out_given(given), out_asked(asked), out_answers(answers);
  encode_template(out_given, in.attributes.data(), in.attributes.size());
  encode_query(out_asked, query.attributes.data(), query.attributes.size());
  In decoded(asked.bytes());
  Arena arena;
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  decode_query(decoded, arena, attributes, count);
  query.module_sees(attributes, count);
  encode_answers(out_answers, attributes, count);
  check_seed(kCorpus / "templates/template", given.bytes());
  check_seed(kCorpus / "templates/query", asked.bytes());
  check_seed(kCorpus / "templates/answers", answers.bytes());
}

}  // namespace
}  // namespace p11shim
