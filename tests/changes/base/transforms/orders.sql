SELECT order_id, till, email, ordered_on, amount, state
FROM tills
WHERE ordered_on >= $partition_start AND ordered_on < $partition_end
