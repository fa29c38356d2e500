/* The ioctls and mappings of the server's files. Functions return a negative errno on failure. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>

#include "wire.h"

/* Whether a path is a device of the server: /dev/teeN, /dev/teeprivN. */
bool is_device_name(const char *path);

int device_open(const char *path, int flags);

/* Whether the kernel handles an ioctl itself for every kind of file. */
bool is_for_every_file(unsigned long request);

long device_ioctl(int fd, const struct wire_greeting *file, unsigned long request, void *argument);

#endif
