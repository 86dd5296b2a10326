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
