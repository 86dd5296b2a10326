#include "ingest/control/instance_store.hpp"

#include <gtest/gtest.h>

#include "common/registry/writer.hpp"

namespace eventrelay::control {
namespace {

const Keyring& ring() {
  static const Keyring kRing({{"k", Secret(std::string(32, 'a'))}});
  return kRing;
}

RegistryRecord record(std::uint64_t id, const std::string& token) {
  Document document;
  document.instance.id = id;
  document.instance.name = "n";
  document.instance.element = "box";
  document.account = 10;
  document.token_hash = element_token_hash(token);
  return {record_key(id), encode_document(document, ring()), 0};
}

TEST(InstanceStore, FindsByIdAndByToken) {
  InstanceStore store;
  EXPECT_TRUE(store.apply(record(7, "t1"), ring()));
  EXPECT_EQ(store.find(7)->account, 10U);
  EXPECT_EQ(store.by_token("t1")->id, 7U);
  EXPECT_EQ(store.by_token("t2"), nullptr);
  EXPECT_EQ(store.by_token(element_token_hash("t1")), nullptr);  // the hash is no token
  EXPECT_TRUE(store.apply(record(7, "t2"), ring()));
  EXPECT_EQ(store.by_token("t1"), nullptr);
  EXPECT_EQ(store.by_token("t2")->id, 7U);
  EXPECT_TRUE(store.apply({"7", std::nullopt, 0}, ring()));
  EXPECT_EQ(store.find(7), nullptr);
  EXPECT_EQ(store.by_token("t2"), nullptr);
}

TEST(InstanceStore, NeverForgetsAnIdThatWasGiven) {
  InstanceStore store;
  EXPECT_EQ(store.last_id(), 0U);
  (void)store.apply(record(7, "t"), ring());
  (void)store.apply({"7", std::nullopt, 0}, ring());
  EXPECT_EQ(store.last_id(), 7U);
  EXPECT_TRUE(store.apply({std::string(kIdsKey), encode_ids(41), 0}, ring()));
  EXPECT_EQ(store.last_id(), 41U);
  EXPECT_TRUE(store.apply({std::string(kIdsKey), encode_ids(9), 0}, ring()));
  EXPECT_EQ(store.last_id(), 41U);
  EXPECT_FALSE(store.apply({std::string(kIdsKey), "nonsense", 0}, ring()));
}

TEST(InstanceStore, LoadsWhatItWouldTakeOneByOne) {
  std::vector<RegistryRecord> records{
      record(7, "t1"),          record(8, "t2"),
      {"9", "{\"v\":9}", 0},    {std::string(kIdsKey), encode_ids(41), 0},
      {"intent/7/ab", "{}", 0}, {"cleanup/5", "{}", 0}};
  InstanceStore one_by_one;
  for (const RegistryRecord& each : records) (void)one_by_one.apply(each, ring());
  InstanceStore loaded;
  loaded.load(std::move(records), ring());
  ASSERT_EQ(loaded.all().size(), 2U);
  for (const auto& [id, stored] : one_by_one.all()) {
    const StoredInstance* const other = loaded.find(id);
    ASSERT_NE(other, nullptr);
    EXPECT_EQ(other->value, stored.value);
    EXPECT_EQ(other->account, stored.account);
    EXPECT_EQ(other->element, stored.element);
    EXPECT_EQ(other->token, stored.token);
  }
  EXPECT_EQ(loaded.by_token("t2")->id, 8U);
  EXPECT_EQ(loaded.last_id(), 41U);
  EXPECT_EQ(loaded.intents(), one_by_one.intents());
  EXPECT_EQ(loaded.cleanups(), one_by_one.cleanups());
}

TEST(InstanceStore, AnInstanceWithoutTokenIsFoundByNone) {
  Document document;
  document.instance.id = 7;
  document.instance.name = "n";
  document.instance.element = "box";
  InstanceStore store;
  EXPECT_TRUE(store.apply({record_key(7), encode_document(document, ring()), 0}, ring()));
  EXPECT_EQ(store.by_token(""), nullptr);
  EXPECT_EQ(store.by_token(std::string(32, '\0')), nullptr);
  EXPECT_NE(store.find(7), nullptr);
}

TEST(InstanceStore, AnUnreadableDocumentLeavesTheFormerOne) {
  InstanceStore store;
  (void)store.apply(record(7, "t1"), ring());
  EXPECT_FALSE(store.apply({"7", "{\"v\":9}", 0}, ring()));
  EXPECT_EQ(store.by_token("t1")->id, 7U);
}

TEST(RoleRecord, ReadsWhatItWrites) {
  const auto role = decode_role(encode_role({"abc", true}, WallTime{}));
  ASSERT_TRUE(role);
  EXPECT_EQ(role->process, "abc");
  EXPECT_TRUE(role->held);
  EXPECT_FALSE(decode_role(encode_role({"abc", false}, WallTime{}))->held);
  for (const char* text : {"", "{}", "[]", R"({"v":2,"process":"a","state":"held"})",
                           R"({"v":1,"process":5,"state":"held"})", R"({"v":1,"process":"a"})"}) {
    EXPECT_FALSE(decode_role(text)) << text;
  }
}

}  // namespace
}  // namespace eventrelay::control
