-- $1 node. Result: {number} in force, or no row. One row by primary key.
SELECT number FROM incarnations WHERE node = $1
