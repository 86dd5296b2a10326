// A doubly linked list through a hook in each item: Boost.Intrusive, as every list of ours has it.
//
// Why:     what moves from list to list with every event must not allocate, and leaves its list
//          without a search.
// Owner:   as its user; the list owns no item.  Thread: one owner.
// Bounds:  O(1) per call; two pointers per hook. One hook is in one list at a time.
// Errors:  none; an item is taken out before it ends.
#pragma once

#include <boost/intrusive/list.hpp>

namespace eventrelay {

using ListHook =
    boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;

template <class Item, ListHook Item::*Hook>
using LinkedList = boost::intrusive::list<Item, boost::intrusive::member_hook<Item, ListHook, Hook>,
                                          boost::intrusive::constant_time_size<false>>;

// Pre: `item` is in `list`.
template <class List>
void unlink(List& list, typename List::reference item) noexcept {
  list.erase(List::s_iterator_to(item));
}

// Takes the first one out. Pre: `list` is not empty.
template <class List>
typename List::reference take_first(List& list) noexcept {
  typename List::reference item = list.front();
  list.pop_front();
  return item;
}

}  // namespace eventrelay
