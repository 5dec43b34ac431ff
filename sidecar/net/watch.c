/*
 * watch.c: readiness of descriptors that others read and write.
 */
#include "net/loop.h"

static uint32_t
interest(bool readable, bool writable)
{
	return (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
}

bool
net_watch(NetLoop *loop, NetWatch *watch, int fd, bool readable, bool writable)
{
	watch->loop = loop;
	watch->fd = fd;
	watch->_registered = false;
	return net_watch_change(watch, readable, writable);
}

bool
net_watch_change(NetWatch *watch, bool readable, bool writable)
{
	watch->_events = interest(readable, writable);
	return net_loop_interest(watch->loop, watch->fd, LOOP_WATCH, watch, &watch->_registered, watch->_events);
}

void
net_unwatch(NetWatch *watch)
{
	if (watch->loop == NULL)
		return;
	watch->_events = 0;
	(void) !net_loop_interest(watch->loop, watch->fd, LOOP_WATCH, watch, &watch->_registered, 0);
	net_loop_forget(watch->loop, watch);
}

void
net_watch_event(NetWatch *watch, uint32_t events)
{
	bool lost = (events & (EPOLLERR | EPOLLHUP)) != 0;
	bool readable = (watch->_events & EPOLLIN) != 0 && ((events & EPOLLIN) != 0 || lost);
	bool writable = (watch->_events & EPOLLOUT) != 0 && ((events & EPOLLOUT) != 0 || lost);

	/* an event that was fetched before the interest changed may match nothing now */
	if (readable || writable)
		watch->on_ready(watch, readable, writable);
}
