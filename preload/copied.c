#include "copied.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"

#define BLOCK 256u

int copied_init(struct copied *part, uint64_t begin, uint64_t end)
{
	*part = (struct copied){ begin, end, NULL };
	if (begin == end)
		return 0;
	part->common = calloc(1, end - begin);
	return part->common == NULL ? -ENOMEM : 0;
}

void copied_free(struct copied *part)
{
	free(part->common);
}

void copied_carry(const struct copied *part, const char *from, char *to, uint64_t begin, uint64_t end)
{
	if (begin < part->begin)
		begin = part->begin;
	if (end > part->end)
		end = part->end;
	while (begin < end) {
		size_t length = end - begin < BLOCK ? end - begin : BLOCK;
		char *common = part->common + (begin - part->begin);
		char now[BLOCK];

		/* A piece may extend over two pages. */
		if (!is_readable((uintptr_t)from + begin, length)) {
			begin += length;
			continue;
		}
		/*
		 * Take a private copy first, because other threads may write at the same time: the bytes compared must be the bytes
		 * copied.
		 */
		memcpy(now, from + begin, length);
		if (memcmp(now, common, length) != 0 && is_writable((uintptr_t)to + begin, length))
			for (size_t index = 0; index < length; index++)
				if (now[index] != common[index])
					to[begin + index] = common[index] = now[index];
		begin += length;
	}
}
