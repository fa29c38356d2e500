/** Partition ids: a normal world without a hypervisor has 0; bit 15 marks secure partitions. */
export const normalWorldId = 0;
export const opteeId = 0x8001;
